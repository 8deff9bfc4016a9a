"""What a plan decides before anything is sent."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fed_audience.activation import Contact, Member
from fed_audience.errors import ConfigError, DataError


def test_a_plan_sends_nothing_and_writes_nothing(brand: Any) -> None:
    ids = brand.customers(3)
    planned = brand.plan(brand.members(ids))
    assert (planned.added, planned.updated, planned.unchanged) == (3, 0, 0)
    assert brand.receiver.bodies == []
    assert brand.state().load() == {}


def test_who_has_no_consent_is_counted_by_the_rule_that_denied(brand: Any) -> None:
    ids = brand.customers(4)
    brand.withdraw(ids[:1])
    brand.contacts[ids[1]] = Contact(ids[1], "a@mail.example", suppressed=True)
    unknown = Member("stranger", "stranger@mail.example")
    planned = brand.plan([*brand.members(ids), unknown])
    assert planned.added == 2
    assert planned.suppressed == {"withdrawn": 1, "suppressed": 1, "no decision": 1}


def test_a_suppressed_customer_leaves_like_a_withdrawal(brand: Any) -> None:
    ids = brand.customers(2)
    brand.send(brand.members(ids))
    brand.contacts[ids[0]] = Contact(ids[0], None, suppressed=True)
    planned = brand.plan([])
    assert planned.withdrawn_by_rule == {"suppressed": 1}
    assert len(planned.removals) == 1
    assert planned.blocked


@pytest.mark.parametrize(
    ("staying", "entering", "blocked"),
    [
        (10, 0, None),
        (8, 0, None),
        (7, 0, "the audience would fall by 30.0%, above 20%"),
        (7, 1, None),
        (7, 3, None),
        (0, 10, "none of the 10 people at the destination would stay"),
        (0, 0, "the audience is empty, and 10 people would be removed"),
    ],
)
def test_a_great_fall_waits_for_a_confirmation(
    brand: Any, staying: int, entering: int, blocked: str | None
) -> None:
    ids = brand.customers(20)
    brand.send(brand.members(ids[:10]))
    audience = brand.members([*ids[:staying], *ids[10 : 10 + entering]])
    assert brand.plan(audience).blocked == blocked
    assert brand.plan(audience, confirm_removals=True).blocked is None


def test_a_small_change_of_the_score_is_not_worth_a_send(brand: Any) -> None:
    ids = brand.customers(1)
    brand.sync = replace(brand.sync, min_change={"score": 0.02})
    brand.send(brand.members(ids, score=0.500))
    assert brand.plan(brand.members(ids, score=0.519)).unchanged == 1
    assert brand.plan(brand.members(ids, score=0.521)).updated == 1
    # Compared with what was last sent, so small steps do not add up unseen.
    brand.send(brand.members(ids, score=0.515))
    assert brand.plan(brand.members(ids, score=0.53)).updated == 1


def test_a_changed_address_is_an_update_even_when_the_score_is_not(brand: Any) -> None:
    ids = brand.customers(1)
    brand.send(brand.members(ids))
    moved = Member(ids[0], "other@mail.example", None, {"score": 0.5})
    assert brand.plan([moved]).updated == 1


def test_a_missing_attribute_never_overwrites_what_was_sent(brand: Any) -> None:
    ids = brand.customers(1)
    planned = brand.plan([Member(ids[0], "a@mail.example", None, {"score": None, "tier": "gold"})])
    assert dict(planned.upserts[0].record.attributes) == {"tier": "gold"}


def test_without_a_usable_identifier_nobody_is_sent(brand: Any) -> None:
    ids = brand.customers(3)
    members = [
        Member(ids[0], ""),
        Member(ids[1], "not an address"),
        Member(ids[2], None),
    ]
    planned = brand.plan(members)
    assert (planned.added, planned.no_identifier) == (0, 3)


def test_who_lost_the_identifier_is_removed(brand: Any) -> None:
    ids = brand.customers(10)
    brand.send(brand.members(ids))
    planned = brand.plan([*brand.members(ids[1:]), Member(ids[0], None)])
    assert [one.record.reason for one in planned.removals] == ["no_identifier"]


def test_a_customer_twice_stops_the_run(brand: Any) -> None:
    ids = brand.customers(2)
    with pytest.raises(DataError, match="3 rows, 2 customers"):
        brand.plan(brand.members([*ids, ids[0]]))


def test_a_row_without_customer_stops_the_run(brand: Any) -> None:
    brand.customers(1)
    with pytest.raises(DataError, match="no customer id"):
        brand.plan([Member("", "a@mail.example")])


def test_an_infinite_score_stops_the_run(brand: Any) -> None:
    ids = brand.customers(1)
    with pytest.raises(DataError, match="'score' is infinite"):
        brand.plan(brand.members(ids, score=float("inf")))


def test_a_destination_serves_only_its_purposes(brand: Any) -> None:
    ids = brand.customers(1)
    brand.sync = replace(brand.sync, purpose="train")
    with pytest.raises(ConfigError, match="does not serve this purpose"):
        brand.plan(brand.members(ids))


def test_examples_show_ten_changes_and_nobody(brand: Any) -> None:
    ids = brand.customers(40)
    brand.send(brand.members(ids[:30]))
    brand.withdraw(ids[:4])
    planned = brand.plan(brand.members([*ids[:28], *ids[30:]]))
    examples = planned.examples()
    assert len(examples) == 10
    assert {one.change for one in examples} == {"entered", "exited"}
    shown = repr(examples)
    for one in ids:
        assert one not in shown
        assert brand.key(one) not in shown
    assert "mail.example" not in shown
    assert "'score': 0.5" in shown


def test_counts_name_everything_that_happens(brand: Any) -> None:
    ids = brand.customers(5)
    brand.send(brand.members(ids[:3]))
    brand.withdraw(ids[:1])
    counts = brand.plan(brand.members(ids)).counts()
    assert counts == {
        "source_rows": 5,
        "held": 3,
        "withdraw": 1,
        "remove": 0,
        "add": 2,
        "update": 0,
        "unchanged": 2,
        "no_identifier": 0,
        "refused_before": 0,
        "in_doubt": 0,
        "suppressed": {},
        "withdrawn_by_rule": {"withdrawn": 1},
        "blocked": None,
    }

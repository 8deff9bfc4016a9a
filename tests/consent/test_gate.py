"""The gate says yes only to those whom the live ledger allows at that moment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from fed_audience.consent.gate import ConsentGate, count_rules
from fed_audience.errors import ConsentError
from fed_audience.warehouse.protocol import Relation

NOW = datetime(2026, 6, 1)  # noqa: DTZ001 - naive and UTC, as everywhere
DAY = timedelta(days=1)


def gate(brand: Any, max_age: timedelta = 7 * DAY) -> ConsentGate:
    return ConsentGate(brand.warehouse, brand.relations.ledger, brand.relations.rules, max_age)


def test_each_person_gets_a_decision(brand: Any) -> None:
    granted = brand.say("ada", "activate:email", "granted")
    brand.say("grace", "activate:email", "withdrawn")
    brand.say("edsger", "activate:ads", "granted")
    asked = ["ada", "grace", "edsger", "stranger"]
    decisions = gate(brand).allowed(asked, "activate:email", NOW)
    assert {person: decision.rule for person, decision in decisions.items()} == {
        "ada": "granted",
        "grace": "withdrawn",
        "edsger": "no_event",
        "stranger": "no_event",
    }
    assert [person for person, decision in decisions.items() if decision.allowed] == ["ada"]
    assert decisions["ada"].event_id == granted
    assert count_rules(decisions.values()) == {"granted": 1, "withdrawn": 1, "no_event": 2}


def test_a_withdrawal_between_two_batches_is_seen(brand: Any) -> None:
    brand.say("ada", "activate:email", "granted", days_ago=2)
    ours = gate(brand)
    assert ours.allowed(["ada"], "activate:email", NOW)["ada"].allowed
    brand.say("ada", "activate:email", "withdrawn", days_ago=0)
    assert not ours.allowed(["ada"], "activate:email", NOW)["ada"].allowed


def test_age_and_place_count_whatever_purpose_they_were_said_on(brand: Any) -> None:
    silent = {"status": "unknown", "jurisdiction": "US"}
    for person in ("ada", "grace", "edsger"):
        brand.say(person, "activate:email", **silent)
    brand.say("grace", "profile", "granted", jurisdiction="EU")
    brand.say("edsger", "profile", "granted", jurisdiction="US", is_minor=True)
    decisions = gate(brand).allowed(["ada", "grace", "edsger"], "activate:email", NOW)
    assert [decisions[person].rule for person in ("ada", "grace", "edsger")] == [
        "opt_out_default",
        "unknown",
        "minor",
    ]


def test_what_is_recorded_after_the_moment_is_not_seen(brand: Any) -> None:
    brand.say("ada", "activate:email", "granted", days_ago=2)
    brand.say("ada", "activate:email", "withdrawn", days_ago=-1)
    assert gate(brand).allowed(["ada"], "activate:email", NOW)["ada"].allowed
    later = gate(brand).allowed(["ada"], "activate:email", NOW + 2 * DAY)
    assert not later["ada"].allowed


def test_a_moment_with_a_zone_is_taken_in_utc(brand: Any) -> None:
    brand.say("ada", "activate:email", "granted", days_ago=1)
    at = NOW.replace(tzinfo=UTC).astimezone(timezone(timedelta(hours=5)))
    assert gate(brand).allowed(["ada"], "activate:email", at)["ada"].as_of == NOW


def test_nobody_asked_is_nobody_allowed_but_still_a_ledger_read(brand: Any) -> None:
    with pytest.raises(ConsentError):
        gate(brand).allowed([], "train", NOW)
    brand.say("ada", "train", "granted")
    assert gate(brand).allowed([], "train", NOW) == {}


def test_an_old_ledger_is_refused(brand: Any) -> None:
    brand.say("ada", "activate:email", "granted", days_ago=1)
    assert gate(brand, DAY).allowed(["ada"], "activate:email", NOW)["ada"].allowed
    with pytest.raises(ConsentError, match=r"too old.*2026-05-31.*24 h before.*int_consent_ledger"):
        gate(brand, DAY).allowed(["ada"], "activate:email", NOW + timedelta(microseconds=1))


def test_events_of_the_future_do_not_make_a_ledger_young(brand: Any) -> None:
    brand.say("ada", "activate:email", "granted", days_ago=3)
    brand.say("ada", "activate:email", "granted", days_ago=-1)
    with pytest.raises(ConsentError, match="too old"):
        gate(brand, DAY).allowed(["ada"], "activate:email", NOW)


def test_an_empty_ledger_is_refused(brand: Any) -> None:
    with pytest.raises(ConsentError, match="no event at all"):
        gate(brand).allowed(["ada"], "activate:email", NOW)


def test_missing_rules_are_refused(brand: Any) -> None:
    brand.say("ada", "activate:email", "granted")
    brand.warehouse.execute(f"delete from {brand.relations.rules.sql()}")
    with pytest.raises(ConsentError, match=r"no rules of consent.*dbt seed"):
        gate(brand).allowed(["ada"], "activate:email", NOW)


def test_an_unreadable_ledger_is_refused_as_consent_not_as_database(brand: Any) -> None:
    missing = Relation("analytics", "nowhere")
    ours = ConsentGate(brand.warehouse, missing, brand.relations.rules)
    with pytest.raises(ConsentError, match=r"cannot be read, so nobody may be used.*nowhere"):
        ours.allowed(["ada"], "activate:email", NOW)


def test_an_unknown_purpose_is_refused(brand: Any) -> None:
    brand.say("ada", "everything", "granted")
    with pytest.raises(ConsentError, match="no such purpose"):
        gate(brand).allowed(["ada"], "everything", NOW)


def test_hostile_identifiers_are_values(brand: Any) -> None:
    brand.say("ada", "train", "granted")
    hostile = "ada' or '1'='1"
    assert not gate(brand).allowed([hostile], "train", NOW)[hostile].allowed


def test_repeated_identifiers_are_one_person(brand: Any) -> None:
    brand.say("ada", "train", "granted")
    assert list(gate(brand).allowed(["ada", "ada"], "train", NOW)) == ["ada"]

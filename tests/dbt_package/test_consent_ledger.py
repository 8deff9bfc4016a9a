"""Who is consented to what in a brand's warehouse, and whose events count for whom."""

from __future__ import annotations

import json
from hashlib import md5
from typing import TYPE_CHECKING

import pytest

from fed_audience.errors import DbtError

if TYPE_CHECKING:
    from tests.dbt_package.conftest import Brand, Stage


def decision(built: Stage, subject: str, purpose: str) -> tuple[bool, str] | None:
    found = built.rows(
        "select is_consented, rule from int_consent_current "
        f"where subject_id = '{subject}' and purpose = '{purpose}'"
    )
    return found[0] if found else None


def test_a_grant_consents(built: Stage) -> None:
    assert decision(built, "ann", "train") == (True, "granted")


def test_a_later_refusal_takes_it_back(built: Stage) -> None:
    assert decision(built, "cat", "train") == (False, "denied")
    assert decision(built, "eve", "profile") == (False, "withdrawn")


def test_a_withdrawal_that_the_ledger_learns_after_as_of_is_not_known_yet(built: Stage) -> None:
    assert decision(built, "gus", "train") == (True, "granted")


def test_a_minor_consents_to_nothing(built: Stage) -> None:
    rules = built.rows(
        "select distinct is_consented, rule from int_consent_current where subject_id = 'hal'"
    )
    assert rules == [(False, "minor")]


def test_the_refusal_of_a_cookie_counts_for_everyone_it_was_ever_linked_to(built: Stage) -> None:
    assert decision(built, "jon", "activate:ads") == (False, "identity_merge")
    assert decision(built, "ida", "activate:ads") == (False, "identity_merge")


def test_the_grant_of_a_cookie_counts_for_its_present_owner_only(built: Stage) -> None:
    events = built.rows(
        "select subject_id, consent_event_id from int_consent_ledger "
        "where purpose = 'share_partner'"
    )
    assert events == [("jon", "g-c4-later")]


def test_an_identity_that_belongs_to_nobody_has_no_say(built: Stage) -> None:
    assert built.rows("select 1 from int_consent_ledger where consent_event_id = 'g-nobody'") == []


def test_the_view_decides_over_events_that_arrive_after_the_build(own_copy: Stage) -> None:
    own_copy.withdraw("g-bob-train")
    assert decision(own_copy, "bob", "train") == (False, "withdrawn")


def test_contacts_carry_consent_suppression_and_hold_out(built: Stage) -> None:
    contacts = {
        row[0]: row[1:]
        for row in built.rows(
            "select customer_id, email, is_suppressed, consent_activate_email, "
            "consent_activate_ads from int_contactable"
        )
    }
    assert contacts["ann"] == ("ann@example.com", False, True, True)
    assert contacts["hal"] == ("hal@example.com", True, False, False)
    assert contacts["jon"] == ("jon@example.com", False, True, False)


def test_one_customer_in_twenty_is_held_out_by_a_hash_of_the_id(own_copy: Stage) -> None:
    own_copy.execute(
        "insert into raw.customers (customer_id) select 'c' || range from range(20000)"
    )
    held = {
        row[0] for row in own_copy.rows("select customer_id from int_contactable where in_holdout")
    }
    expected = {
        f"c{n}"
        for n in range(20_000)
        if md5(f"holdout:c{n}".encode()).hexdigest()[:4] < "0ccd"  # noqa: S324 - a stable draw, not a secret
    }
    assert len(expected) == 963
    assert (
        held - {"ann", "bob", "cat", "dan", "eve", "fay", "gus", "hal", "ida", "jon", "new"}
        == expected
    )


def test_a_stale_ledger_and_an_unknown_purpose_fail_the_build(brand: Brand, built: Stage) -> None:
    assert built.rows("select count(*) from int_consent_ledger") != [(0,)]
    checks = ("fed_ledger_is_fresh", "fed_ledger_purposes_are_known")
    with pytest.raises(DbtError):
        brand.dbt(
            "test",
            *("--select", *checks),
            fed_audience__as_of="2027-01-01 00:00:00",
            fed_audience__purposes=["collect", "profile"],
        )
    results = json.loads((brand.project / "target" / "run_results.json").read_text())
    found = {
        one["unique_id"].split(".")[2]: one["status"]
        for one in results["results"]
        if one["unique_id"].startswith("test.")
    }
    assert found == dict.fromkeys(checks, "fail")

"""An explanation names every event, its part, and says the outcome in plain words."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

import pytest

from fed_audience.consent.explain import Explanation, Outcome, explain
from fed_audience.errors import DataError

NOW = datetime(2026, 6, 1)  # noqa: DTZ001 - naive and UTC, as everywhere
DAY = timedelta(days=1)


def explained(brand: Any, subject: str = "ada") -> Explanation:
    return explain(brand.warehouse, subject, NOW, relations=brand.relations)


def outcome(brand: Any, purpose: str) -> Outcome:
    return next(entry for entry in explained(brand).outcomes if entry.purpose == purpose)


def parts(brand: Any, purpose: str) -> list[tuple[str | None, str]]:
    return [(entry.event.event_id, entry.part) for entry in outcome(brand, purpose).events]


def test_every_purpose_has_an_outcome(brand: Any) -> None:
    brand.say("ada", "activate:sms", "granted")
    names = [entry.purpose for entry in explained(brand).outcomes]
    assert names == [
        "collect", "profile", "train", "share_model", "share_partner",
        "activate:email", "activate:sms",
    ]  # fmt: skip


def test_events_come_strongest_first_with_their_part(brand: Any) -> None:
    first = brand.say("ada", "train", "granted", days_ago=9)
    second = brand.say("ada", "train", "withdrawn", days_ago=5)
    third = brand.say("ada", "train", "granted", days_ago=2)
    web = brand.say("ada", "train", "granted", days_ago=7, member_id="web:1")
    future = brand.say("ada", "train", "granted", effective_at=NOW + DAY)
    unheard = brand.say("ada", "train", "denied", days_ago=-3)
    assert parts(brand, "train") == [
        (third, "decides"),
        (second, "overruled"),
        (web, "agrees"),
        (first, "overruled"),
        (future, "does not count yet"),
        (unheard, "not known yet"),
    ]


def test_the_decision_is_the_gates(brand: Any) -> None:
    event = brand.say("ada", "train", "withdrawn")
    decision = outcome(brand, "train").decision
    assert (decision.allowed, decision.rule, decision.event_id) == (False, "withdrawn", event)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "yes: granted 2026-05-31 00:00 UTC by crm:ada, for 730 days"),
        ({"expires_at": NOW + DAY}, "yes: granted .* until 2026-06-02 00:00 UTC"),
        ({"expires_at": NOW}, "no: the grant of 2026-05-31 .* ended"),
        ({"status": "denied"}, "no: refused 2026-05-31 00:00 UTC by crm:ada"),
        ({"status": "withdrawn"}, "no: withdrawn 2026-05-31"),
        ({"status": "expired"}, "no: declared expired 2026-05-31"),
        ({"status": None}, "no: what was said .* is neither yes nor no"),
        ({"days_ago": 800}, "no: the grant of 2024.* is older than 730 days"),
        ({"is_minor": True}, "no: the person is a minor"),
        ({"is_minor": None}, "no: the age is unknown"),
        ({"effective_at": NOW + DAY}, "no: what was said .* does not count yet"),
        ({"purpose": "profile"}, "no: nothing was ever said"),
    ],
)
def test_each_rule_has_its_sentence(brand: Any, changes: dict[str, object], sentence: str) -> None:
    said = {"purpose": "train", "status": "granted", **changes}
    brand.say("ada", **said)
    brand.add_customers("ada")
    assert re.fullmatch(f"{sentence}.*", outcome(brand, "train").sentence)


def test_silence_where_it_consents_is_said(brand: Any) -> None:
    brand.say("ada", "activate:email", "unknown", jurisdiction="US")
    assert outcome(brand, "activate:email").sentence.startswith("yes: nobody refused")


def test_an_identity_that_refuses_is_named_with_its_own_rule(brand: Any) -> None:
    brand.say("ada", "train", "granted")
    brand.say("ada", "train", "denied", days_ago=4, member_id="web:cookie")
    assert outcome(brand, "train").sentence == (
        "no: another identity consents, but web:cookie does not (denied)"
    )


def test_the_person_is_described(brand: Any) -> None:
    brand.say("ada", "train", "granted")
    brand.say("ada", "profile", "granted", member_id="web:1", jurisdiction="US", is_minor=None)
    found = explained(brand)
    assert found.identities == ("crm:ada", "web:1")
    assert found.places == ("EU", "US")
    assert found.is_minor is False


def test_a_customer_who_never_spoke_consents_to_nothing(brand: Any) -> None:
    brand.add_customers("ada")
    found = explained(brand)
    assert not any(entry.decision.allowed for entry in found.outcomes)
    assert found.is_minor is None


def test_a_stranger_is_an_error_that_does_not_repeat_the_identifier(brand: Any) -> None:
    with pytest.raises(DataError, match="no such customer") as caught:
        explained(brand, "ada@example.com")
    assert "ada@" not in str(caught.value)

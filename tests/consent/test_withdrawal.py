"""Since when a purpose is lost: when a refusal became known, or when a grant ended."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from fed_audience.consent.events import LEDGER_COLUMNS, events_of
from fed_audience.consent.rules import read_rules
from fed_audience.consent.withdrawal import Lost, lost_purposes

NOW = datetime(2026, 6, 1)  # noqa: DTZ001 - naive and UTC, as everywhere
DAY = timedelta(days=1)


def lost(brand: Any, *purposes: str) -> tuple[Lost, ...]:
    rows = brand.warehouse.query(f"select {LEDGER_COLUMNS} from {brand.relations.ledger.sql()}")
    rules = read_rules(brand.warehouse, brand.relations.rules)
    return lost_purposes(list(events_of(rows)), purposes, NOW, rules, "ada")


@pytest.mark.parametrize(
    ("said", "rule", "since"),
    [
        ({"status": "withdrawn", "days_ago": 3}, "withdrawn", NOW - 3 * DAY),
        ({"status": "granted", "days_ago": 9, "expires_at": NOW - DAY}, "expired", NOW - DAY),
        ({"status": "granted", "days_ago": 740}, "ttl_expired", NOW - 10 * DAY),
        ({"status": "granted", "days_ago": 2, "is_minor": True}, "minor", NOW - 2 * DAY),
    ],
)
def test_each_kind_has_its_instant(brand: Any, said: Any, rule: str, since: datetime) -> None:
    brand.say("ada", "train", **said)
    assert lost(brand, "train") == (Lost("train", rule, since),)


def test_what_is_allowed_and_what_nobody_spoke_of_is_not_lost(brand: Any) -> None:
    brand.say("ada", "train", "granted")
    brand.say("ada", "profile", "withdrawn")
    brand.say("ada", "profile", "granted", days_ago=0)
    assert lost(brand, "train", "profile", "share_model") == ()


def test_an_identity_that_refuses_counts_from_its_own_word(brand: Any) -> None:
    brand.say("ada", "train", "granted", days_ago=9)
    brand.say("ada", "train", "denied", days_ago=4, member_id="web:cookie")
    assert lost(brand, "train") == (Lost("train", "identity_merge", NOW - 4 * DAY),)

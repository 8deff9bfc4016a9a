"""The funnel counts every customer once, with the rule that took each out."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from fed_audience.consent.funnel import Stage, funnel
from fed_audience.consent.gate import ConsentGate, count_rules

NOW = datetime(2026, 6, 1)  # noqa: DTZ001 - naive and UTC, as everywhere
DAY = timedelta(days=1)


def fill(brand: Any) -> None:
    brand.add_customers("a", "b", "c", "d", "e")
    for person in ("a", "b", "c", "partner"):
        brand.say(person, "profile", "granted")
    for person in ("a", "b", "d"):
        brand.say(person, "train", "granted")
    brand.say("a", "share_model", "granted")
    brand.say("b", "share_model", "granted", expires_at=NOW)
    brand.say("c", "train", "withdrawn")
    brand.say("a", "activate:email", "granted")
    brand.say("d", "activate:email", "granted")


def test_the_stages_lead_to_those_who_may_train(brand: Any) -> None:
    fill(brand)
    counted = funnel(brand.warehouse, NOW, relations=brand.relations)
    assert counted.customers == 5
    assert counted.stages == (
        Stage("customers", 5),
        Stage("profile", 3),
        Stage("train", 2),
        Stage("share_model", 1),
    )
    assert counted.eligible == {"email": 1, "ads": 0}


def test_each_purpose_accounts_for_every_customer_by_rule(brand: Any) -> None:
    fill(brand)
    counted = funnel(brand.warehouse, NOW, relations=brand.relations)
    by_name = {entry.purpose: entry for entry in counted.purposes}
    assert by_name["train"].allowed == {"granted": 3}
    assert by_name["train"].lost == {"no_event": 1, "withdrawn": 1}
    assert by_name["share_model"].lost == {"no_event": 3, "expired": 1}
    assert list(by_name["share_model"].lost) == ["no_event", "expired"]
    for entry in counted.purposes:
        assert entry.people + sum(entry.lost.values()) == 5


def test_it_agrees_with_the_gate(brand: Any) -> None:
    fill(brand)
    gate = ConsentGate(brand.warehouse, brand.relations.ledger, brand.relations.rules, 7 * DAY)
    counted = funnel(brand.warehouse, NOW, relations=brand.relations)
    for entry in counted.purposes:
        decisions = gate.allowed(["a", "b", "c", "d", "e"], entry.purpose, NOW)
        assert count_rules(decisions.values()) == {**entry.allowed, **entry.lost}


def test_a_brand_without_customers_has_an_empty_funnel(brand: Any) -> None:
    counted = funnel(brand.warehouse, NOW, relations=brand.relations)
    assert {stage.people for stage in counted.stages} == {0}


def test_the_moment_matters(brand: Any) -> None:
    fill(brand)
    counted = funnel(brand.warehouse, NOW - 2 * DAY, relations=brand.relations)
    assert [stage.people for stage in counted.stages] == [5, 0, 0, 0]

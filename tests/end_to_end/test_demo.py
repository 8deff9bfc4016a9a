"""What the demo promises, looked for in what it left behind."""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from fed_audience.activation import Sync
from fed_audience.activation.keys import StateKeys
from fed_audience.config import secret_from_environment
from fed_audience.consent.statement import ConsentRelations, consenting
from fed_audience.demo.run import DELIVERED
from fed_audience.demo.settings import AS_OF
from fed_audience.demo.summary import show
from fed_audience.demo.withdrawal import AFTER, PEOPLE_PER_BRAND
from fed_audience.demo.workspace import environment
from fed_audience.jobs.audience import build_audience
from fed_audience.jobs.settings import load_federation
from fed_audience.jobs.sites import site_of
from fed_audience.testing.needles import Needle
from tests.end_to_end.finished_demo import FinishedDemo

pytestmark = [pytest.mark.slow, pytest.mark.dbt, pytest.mark.xdist_group("demo")]


@pytest.fixture(autouse=True)
def demo_secrets(finished_demo: FinishedDemo, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment(finished_demo.run.workspace).items():
        monkeypatch.setenv(name, value)


SHORTEST_NAME = 8
KEYS = {"PresentKey", "RunKey", "AgreeKeys", "KeysAgreed"}
HEXADECIMAL = re.compile(rb'"(?:[0-9a-f]{64}|[0-9a-f]{128})"')
"""A whole field of a key, a digest or a signature: in so many digits a number stands by chance."""


def events_of(demo: FinishedDemo) -> list[dict[str, Any]]:
    return [
        {**event, "site": delivery["site"]}
        for delivery in map(json.loads, demo.run.payloads)
        for event in delivery["events"]
    ]


def keys_of(site: str) -> StateKeys:
    sync = Sync(site, DELIVERED, "crm", "activate:email")
    return StateKeys(secret_from_environment("FED_AUDIENCE_STATE_KEY"), sync.scope)


def test_the_federated_model_is_the_pooled_one_to_the_byte(finished_demo: FinishedDemo) -> None:
    run = finished_demo.run.outcome.facts.run
    assert run.pooled_sha256 == run.model_sha256
    assert len(run.model_sha256) == 64


def test_no_canary_is_in_any_byte_that_left_a_site(finished_demo: FinishedDemo) -> None:
    assert len(finished_demo.texts) > 200
    assert len(finished_demo.numbers) > 50
    needles: list[Needle] = [*finished_demo.texts, *finished_demo.numbers]
    finished_demo.egress.assert_absent(needles)
    for body in finished_demo.run.payloads:
        finished_demo.egress.record(body, site="all", kind="webhook")
    finished_demo.egress.assert_absent(needles)


def test_no_customer_is_named_to_the_federation(finished_demo: FinishedDemo) -> None:
    settings = load_federation(finished_demo.run.workspace.federation)
    names = []
    for site in map(site_of, settings.sites):
        with site.open() as warehouse:
            rows = warehouse.query("select customer_id, email from raw.customers")
        found = [name for column in rows.columns for name in column.to_pylist()]
        # Some e-mails are generated unusable; a word like 'n/a' stands anywhere by chance.
        names += [str(name) for name in found if name and len(str(name)) >= SHORTEST_NAME]
    assert len(names) > 10_000
    recorder = type(finished_demo.egress)()
    recorder.departures += [
        replace(one, body=HEXADECIMAL.sub(b'""', one.body)) if one.kind in KEYS else one
        for one in finished_demo.egress.departures
        if one.kind != "webhook"
    ]
    assert {one.kind for one in recorder.departures} > KEYS - {"PresentKey"}
    recorder.assert_absent(names)


def test_only_people_with_the_purpose_were_ever_sent(finished_demo: FinishedDemo) -> None:
    settings = load_federation(finished_demo.run.workspace.federation)
    events = events_of(finished_demo)
    assert events
    for site in map(site_of, settings.sites):
        with site.open() as warehouse:
            allowed = consenting(
                warehouse,
                ConsentRelations.of_schema(site.profile.schema_),
                ["profile", "activate:email"],
                AS_OF,
            ).to_pylist()
        keys = keys_of(site.name)
        may = {keys.record_key(str(customer)) for customer in allowed}
        entered = {
            event["id"]
            for event in events
            if event["site"] == site.name and event["type"] != "audience.exited"
        }
        assert entered
        assert entered <= may


def test_whoever_withdrew_is_removed_and_never_sent_again(finished_demo: FinishedDemo) -> None:
    settings = load_federation(finished_demo.run.workspace.federation)
    events = events_of(finished_demo)
    for site in map(site_of, settings.sites):
        relations = ConsentRelations.of_schema(site.profile.schema_)
        with site.open() as warehouse:
            before, after = (
                set(consenting(warehouse, relations, ["activate:email"], when).to_pylist())
                for when in (AS_OF, AS_OF + 2 * AFTER)
            )
        keys = keys_of(site.name)
        withdrew = {keys.record_key(str(customer)) for customer in before - after}
        assert len(withdrew) >= PEOPLE_PER_BRAND
        own = [event for event in events if event["site"] == site.name and event["id"] in withdrew]
        sent = {event["id"] for event in own if event["type"] == "audience.entered"}
        assert len(sent) >= PEOPLE_PER_BRAND
        for person in sent:
            history = [event["type"] for event in own if event["id"] == person]
            assert history == ["audience.entered", "audience.exited"]


def test_the_removal_says_no_more_than_it_must(finished_demo: FinishedDemo) -> None:
    removals = [e for e in events_of(finished_demo) if e["type"] == "audience.exited"]
    assert removals
    for removal in removals:
        assert removal["reason"] == "consent"
        assert "identifiers" not in removal
        assert "attributes" not in removal


def test_the_sync_after_the_withdrawals_changes_nothing_more(finished_demo: FinishedDemo) -> None:
    rounds: dict[str, int] = {}
    for sync in finished_demo.run.outcome.facts.syncs:
        rounds[sync.label] = rounds.get(sync.label, 0) + sync.sent
    assert rounds["first delivery"] > 100
    assert rounds["after the withdrawals"] >= 3 * PEOPLE_PER_BRAND
    assert rounds["once more"] == 0


def test_nobody_is_delivered_beyond_the_request(finished_demo: FinishedDemo) -> None:
    for audience in finished_demo.run.outcome.facts.audiences:
        assert audience.brands
        for brand in audience.brands:
            assert 0 < brand.delivered <= brand.requested <= brand.eligible


def test_every_brand_is_compared_with_itself_alone(finished_demo: FinishedDemo) -> None:
    quality = finished_demo.run.outcome.facts.quality
    assert quality is not None
    assert [brand.brand for brand in quality.brands] == ["fashion", "grocery", "travel"]
    for brand in quality.brands:
        assert brand.federated is not None
        assert brand.pooled == brand.federated
        assert brand.verdict in {"gains", "no difference", "loses"}


def test_the_lookalike_finds_the_hidden_taste_better_than_chance(
    finished_demo: FinishedDemo,
) -> None:
    lookalike, rule = finished_demo.run.outcome.facts.lookalikes
    assert (lookalike.mode, rule.mode) == ("seed_brand", "seed_rule")
    targets = {target.brand: target for target in lookalike.targets}
    assert set(targets) == {"fashion", "grocery", "travel"}
    grocery = targets["grocery"].lift.low
    assert grocery is not None
    assert grocery > 1.0


def test_another_reach_needs_no_training(finished_demo: FinishedDemo) -> None:
    settings = load_federation(finished_demo.run.workspace.federation)
    audience = settings.audience(DELIVERED)
    smaller = build_audience(settings, audience, as_of=AS_OF, key=b"ties", share=0.05)
    larger = build_audience(settings, audience, as_of=AS_OF, key=b"ties", share=0.2)
    for small, large in zip(smaller, larger, strict=True):
        assert 0 < small.cut.count < large.cut.count
        assert small.cut.requested == int(0.05 * small.eligibility.count)


def test_the_report_needs_no_network_and_names_nobody(finished_demo: FinishedDemo) -> None:
    page = finished_demo.run.workspace.report.read_text(encoding="utf-8")
    assert "http://" not in page.replace("http://www.w3.org/", "")
    for text in finished_demo.texts:
        assert text not in page
    story = finished_demo.run.outcome.facts.withdrawal
    assert story is not None
    assert story.customer_id not in page


def test_the_summary_ends_with_the_report_and_the_next_command(
    finished_demo: FinishedDemo,
) -> None:
    console = Console(record=True, width=160, file=open(os.devnull, "w"))  # noqa: SIM115, PTH123 - the console keeps it
    show(finished_demo.run.outcome, console)
    text = console.export_text()
    for words in (
        "Consent: people left after each step",
        "alone -> federated",
        "byte for byte",
        "recency-frequency-money",
        "no identifier",
        "followed through",
        "The largest message",
        "fed-audience simulate your.csv",
    ):
        assert words in text
    assert str(finished_demo.run.workspace.report) in text


def test_webhook_identifiers_are_hashes_of_consented_addresses(
    finished_demo: FinishedDemo,
) -> None:
    settings = load_federation(finished_demo.run.workspace.federation)
    hashes = set()
    for site in map(site_of, settings.sites):
        with site.open() as warehouse:
            emails = warehouse.query("select email from raw.customers where email is not null")
        hashes |= {
            hashlib.sha256(str(email).strip().lower().encode()).hexdigest()
            for email in emails["email"].to_pylist()
        }
    sent = [
        e["identifiers"]["email_sha256"] for e in events_of(finished_demo) if "identifiers" in e
    ]
    assert sent
    assert set(sent) <= hashes

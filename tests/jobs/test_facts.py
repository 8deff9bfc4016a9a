"""What a pipeline did, as the report is told of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pydantic import SecretStr

from fed_audience.activation import SyncReport
from fed_audience.gbdt.evaluation import Interval
from fed_audience.jobs.facts import estimate, quality_of, report_of, sync_of
from fed_audience.jobs.pipeline import Listeners, PipelineOutcome, Secrets, run_pipeline
from fed_audience.jobs.quality import BrandQuality
from fed_audience.jobs.sync import SiteReport
from tests.jobs.small_federation import NOW, SmallFederation


def test_an_interval_without_bounds_is_an_estimate_alone() -> None:
    assert estimate(None) is None
    known = estimate(Interval(0.7, 0.01, 0.68, 0.72))
    assert known is not None
    assert (known.value, known.low, known.high) == (0.7, 0.68, 0.72)
    unknown = estimate(Interval(0.7, np.inf, -np.inf, np.inf))
    assert unknown is not None
    assert (unknown.value, unknown.low, unknown.high) == (0.7, None, None)


def test_a_verdict_goes_with_its_difference() -> None:
    gain = Interval(0.05, 0.01, 0.03, 0.07)
    shared = Interval(0.75, 0.01, 0.73, 0.77)
    found = quality_of(BrandQuality("ant", 9, 4, None, shared, gain, np.zeros((2, 1), np.int64)))
    assert (found.brand, found.rows, found.positives, found.verdict) == ("ant", 9, 4, "gains")
    assert found.alone is None
    assert found.federated is not None
    assert found.difference is not None
    assert (found.federated.value, found.difference.low) == (0.75, 0.03)


def sync_report(**counts: int) -> SyncReport:
    numbers = dict.fromkeys(
        (
            *("added", "updated", "removed", "withdrawn", "unchanged", "no_identifier"),
            *("refused_before", "rejected", "unresolved", "open_withdrawals", "held_back"),
            *("requests", "retries", "bytes_sent"),
        ),
        0,
    )
    return SyncReport(
        run_id="r",
        sync_id="ant/top@files",
        status="succeeded",
        suppressed={},
        dropped={},
        blocked=None,
        **(numbers | counts),
    )


def test_who_was_withdrawn_was_removed_too() -> None:
    report = sync_report(added=1, updated=2, removed=3, withdrawn=4, unchanged=5, rejected=6)
    found = sync_of("first", SiteReport("ant", "files", report))
    assert (found.label, found.brand, found.destination) == ("first", "ant", "files")
    assert (found.added, found.updated, found.removed) == (1, 2, 7)
    assert (found.unchanged, found.rejected, found.sent) == (5, 6, 10)


@pytest.fixture
def outcome(small_federation: SmallFederation) -> PipelineOutcome:
    """A whole run over the small brands: train, score, choose, deliver."""
    return run_pipeline(
        small_federation.settings,
        base=small_federation.folder,
        as_of=NOW,
        secrets=Secrets(SecretStr("c" * 32), SecretStr("s" * 32)),
        listeners=Listeners(),
    )


def test_a_report_tells_what_the_run_did(outcome: PipelineOutcome) -> None:
    trained = outcome.trained["repurchase"]
    found = report_of(outcome)
    assert found.title == "small: repurchase"
    assert (found.run.task, found.run.sites, found.run.as_of) == ("propensity", ("ant", "bee"), NOW)
    assert found.run.training_rows == sum(one.num_rows for one in trained.training.values())
    assert found.run.model_sha256 == trained.result.sha256
    assert found.run.rounds == trained.result.rounds
    ant = found.consent[0]
    assert [(step.name, step.remaining) for step in ant.steps] == [
        ("customers", 300),
        ("profile", 300),
        ("train", 295),
        ("share_model", 295),
        ("training rows", 295),
    ]
    assert found.quality is not None
    assert [one.brand for one in found.quality.brands] == ["ant", "bee"]
    assert {one.feature for one in found.importance} <= {"f_spend", "f_visits", "f_channel"}
    gains = [one.gain for one in found.importance]
    assert gains == sorted(gains, reverse=True)
    assert found.importance[0].feature == "f_spend"
    assert found.egress is not None
    sent = [(one.site, one.sent_bytes) for one in found.egress.sent]
    for site, up in trained.result.bytes_up.items():
        assert sum(size for name, size in sent if name == site) == up
    (audience,) = found.audiences
    assert (audience.name, audience.channel, audience.share) == ("top", "email", 0.2)
    for brand in audience.brands:
        assert (brand.requested, brand.eligible, brand.delivered) == (60, 300, 60)
    assert [(one.label, one.added, one.sent) for one in found.syncs] == [("delivery", 60, 60)] * 2


def test_what_is_unchanged_was_delivered_and_other_audiences_were_not(
    outcome: PipelineOutcome,
) -> None:
    def delivered(*syncs: SiteReport) -> list[int]:
        (audience,) = report_of(replace(outcome, syncs=syncs)).audiences
        return [brand.delivered for brand in audience.brands]

    again = SiteReport("ant", "files", sync_report(added=1, updated=2, unchanged=4))
    assert delivered(again) == [7, 0]
    fewer = SiteReport("ant", "crm", sync_report(added=3))
    assert delivered(again, fewer) == [7, 0]
    other = SiteReport("ant", "files", replace(sync_report(added=9), sync_id="ant/topmost@files"))
    assert delivered(other) == [0, 0]

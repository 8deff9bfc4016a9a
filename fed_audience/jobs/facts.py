"""Turns what a pipeline did into the facts that a report draws."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fed_audience import __version__
from fed_audience.gbdt.evaluation import Interval, Metrics
from fed_audience.jobs.egress import EgressTally, reveals
from fed_audience.jobs.measures import AUC
from fed_audience.privacy.dp.plan import UNIT
from fed_audience.report import data as r

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from fed_audience.consent.funnel import Funnel
    from fed_audience.jobs.audience import SiteAudience
    from fed_audience.jobs.pipeline import PipelineOutcome
    from fed_audience.jobs.quality import BrandQuality
    from fed_audience.jobs.sync import SiteReport
    from fed_audience.jobs.train import TrainedModel


def report_of(outcome: PipelineOutcome) -> r.ReportData:
    """Return the report of ``outcome``, led by its first model with labels everywhere."""
    led = next((name for name in outcome.quality), next(iter(outcome.trained)))
    model = outcome.trained[led]
    quality = outcome.quality.get(led, ())
    known = [(one, one.histogram) for one in quality if one.histogram is not None]
    return r.ReportData(
        title=f"{outcome.settings.name.replace('_', ' ')}: {led.replace('_', ' ')}",
        run=run_facts(outcome, model),
        consent=tuple(funnel_of(site, found, model) for site, found in outcome.funnels.items()),
        quality=_quality(quality) if quality else None,
        lift=tuple(_lift(one.site, found) for one, found in known if one.positives),
        calibration=tuple(_calibration(one.site, found) for one, found in known if one.rows),
        importance=_importance(model),
        privacy=_privacy(model),
        egress=_egress(model, outcome.egress[led]),
        audiences=tuple(
            _audience(outcome, name, sites) for name, sites in outcome.audiences.items()
        ),
        syncs=tuple(sync_of("delivery", one) for one in outcome.syncs),
        warnings=tuple(
            f"{name}: {text}"
            for name, one in outcome.trained.items()
            for text in (*one.warnings, *one.notes)
        ),
    )


def run_facts(outcome: PipelineOutcome, model: TrainedModel) -> r.RunFacts:
    """Return which run this was."""
    return r.RunFacts(
        federation=outcome.settings.name,
        model=model.name,
        task=model.spec.task,
        as_of=outcome.as_of,
        sites=model.manifest.sites,
        training_rows=model.result.counts.rows,
        features=len(model.manifest.features),
        trees=len(model.result.model.trees),
        rounds=model.result.rounds,
        model_sha256=model.result.sha256,
        seconds=model.seconds,
        version=__version__,
    )


def funnel_of(site: str, funnel: Funnel, model: TrainedModel) -> r.ConsentFunnel:
    """Return one brand's way from all customers to its training rows."""
    lost = {count.purpose: tuple(count.lost.items()) for count in funnel.purposes}
    steps = [r.Step("customers", funnel.customers)]
    steps += [
        r.Step(stage.name, stage.people, lost.get(stage.name, ()))
        for stage in funnel.stages
        if stage.name != "customers"
    ]
    rows = {one.site.name: one.rows.table.num_rows for one in model.participants}
    if site in rows:
        steps.append(r.Step("training rows", rows[site]))
    return r.ConsentFunnel(site, tuple(steps))


def _quality(measured: Sequence[BrandQuality]) -> r.Quality:
    brands, measure = tuple(quality_of(one) for one in measured), measured[0].measure
    if measure is AUC:
        return r.Quality(brands)
    return r.Quality(brands, interval="95% interval of a mean over rows", measure=measure.title)


def quality_of(measured: BrandQuality) -> r.BrandQuality:
    """Return one brand's comparison."""
    return r.BrandQuality(
        brand=measured.site,
        rows=measured.rows,
        positives=measured.positives,
        alone=estimate(measured.alone),
        federated=estimate(measured.federated),
        difference=estimate(measured.gain),
        verdict=measured.verdict,
    )


def estimate(interval: Interval | None) -> r.Estimate | None:
    """Return an interval as the report knows it; infinite bounds are none."""
    if interval is None:
        return None
    if not np.isfinite(interval.standard_error):
        return r.Estimate(interval.estimate)
    return r.Estimate(interval.estimate, interval.low, interval.high)


def sync_of(label: str, one: SiteReport) -> r.Sync:
    """Return one brand's and destination's part of a round of syncs."""
    report = one.report
    return r.Sync(
        label=label,
        brand=one.site,
        destination=one.destination,
        added=report.added,
        updated=report.updated,
        removed=report.removed + report.withdrawn,
        unchanged=report.unchanged,
        rejected=report.rejected,
        sent=report.sent,
    )


def _lift(site: str, histogram: NDArray[np.int64]) -> r.LiftCurve:
    deciles = Metrics.from_histogram(histogram).deciles
    points = tuple(r.LiftPoint(one.share, one.lift, one.gain) for one in deciles)
    return r.LiftCurve(site, points)


def _calibration(site: str, histogram: NDArray[np.int64]) -> r.CalibrationCurve:
    bins = Metrics.from_histogram(histogram).calibration
    points = tuple(r.CalibrationPoint(one.predicted, one.observed) for one in bins)
    return r.CalibrationCurve(site, points)


def _importance(model: TrainedModel) -> tuple[r.FeatureImportance, ...]:
    used = [
        r.FeatureImportance(name, one.gain, one.splits)
        for name, one in model.result.importance.items()
        if one.splits
    ]
    return tuple(sorted(used, key=lambda one: (-one.gain, one.feature)))


def _privacy(model: TrainedModel) -> r.Privacy | None:
    plan = model.result.privacy
    if plan is None:
        return None
    return r.Privacy(
        epsilon=plan.terms.epsilon,
        delta=plan.terms.delta,
        mu=plan.mu,
        unit=UNIT,
        colluders=plan.colluders,
        epsilon_against=tuple(plan.epsilon_against(count) for count in range(plan.sites)),
        spent_on=tuple(
            r.PrivacySpending(one.what.replace("_", " "), one.releases, one.mu**2 / plan.mu**2)
            for one in plan.spendings
        ),
        measured=model.result.metrics.headline if model.result.metrics else None,
    )


def _egress(model: TrainedModel, tally: EgressTally) -> r.Egress:
    rows = tally.rows()
    largest = model.result.largest_message
    kinds = dict.fromkeys(kind for _, kind, _, _ in rows)
    return r.Egress(
        types=tuple(r.MessageType(kind, reveals(kind)) for kind in kinds),
        sent=tuple(r.SiteMessages(*row) for row in rows),
        largest=r.LargestMessage(largest.site, largest.type, largest.bytes, largest.reveals),
    )


def _audience(outcome: PipelineOutcome, name: str, sites: Iterable[SiteAudience]) -> r.Audience:
    settings = outcome.settings.audience(name)
    delivered = _delivered(outcome.syncs, name)
    return r.Audience(
        name=name,
        channel=settings.channel,
        destinations=settings.destinations,
        share=settings.share,
        brands=tuple(_audience_brand(one, delivered) for one in sites),
    )


def _audience_brand(one: SiteAudience, delivered: Mapping[str, int]) -> r.AudienceBrand:
    return r.AudienceBrand(
        brand=one.site,
        requested=one.cut.requested,
        eligible=one.eligibility.count,
        delivered=delivered.get(one.site, 0),
        no_identifier=one.no_identifier,
        score=one.curve.kind,
        steps=tuple(r.Step(step.name, step.remaining) for step in one.eligibility.steps),
        reach=tuple(
            r.ReachPoint(point.share, point.count, point.threshold, point.expected, point.lift)
            for point in one.curve.points()
        ),
    )


def _delivered(syncs: Iterable[SiteReport], audience: str) -> dict[str, int]:
    """People of ``audience`` that a destination acknowledged, by brand; the most of any."""
    most: dict[str, int] = {}
    for one in syncs:
        if one.report.sync_id.startswith(f"{one.site}/{audience}@"):
            held = one.report.added + one.report.updated + one.report.unchanged
            most[one.site] = max(most.get(one.site, 0), held)
    return most

"""The page in plain words: one paragraph, three numbers, and a finding for each section."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from fed_audience.report.formatting import (
    count,
    in_words,
    listing,
    percent,
    plural,
    signed,
    size,
    times,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fed_audience.report.data import (
        Audience,
        CalibrationCurve,
        ConsentFunnel,
        Egress,
        FeatureImportance,
        LiftCurve,
        Lookalike,
        Privacy,
        Quality,
        ReportData,
        Sync,
    )

_NAMED = 5
"""Brands named in a sentence; more are only counted."""


@dataclass(frozen=True, slots=True)
class KeyNumber:
    """One of the numbers that matter, what it is, and what stands behind it."""

    value: str
    label: str
    note: str


def paragraph(data: ReportData) -> str:
    """Say in a few sentences who trained what, whether it paid, and whom it reached."""
    run = data.run
    sites = len(run.sites)
    who = f"{in_words(sites)} brand{'' if sites == 1 else 's'}"
    if sites <= _NAMED:
        who += f", {listing(run.sites)},"
    # A count that left the brands with noise is no exact one.
    rows = f"about {count(run.training_rows)}" if data.privacy else count(run.training_rows)
    sentences = [f"{who} trained one {run.task} model on {rows} consented customer rows."]
    if data.egress:
        sentences.append("The rows stayed where they are; sums over many of them were exchanged.")
    if data.privacy:
        sentences.append(privacy_finding(data.privacy))
    if data.quality and any(brand.verdict for brand in data.quality.brands):
        sentences.append(quality_finding(data.quality))
    if data.audiences:
        first = data.audiences[0]
        sentences.append(f"For audience {first.name}, {audience_finding(first)}")
    removed = sum(sync.removed for sync in data.syncs)
    if removed:
        sentences.append(
            f"{plural(removed, 'record')} of people who may no longer be reached "
            f"{'was' if removed == 1 else 'were'} removed at the destination."
        )
    return " ".join(sentences)


def key_numbers(data: ReportData) -> list[KeyNumber]:
    """Return up to three numbers: what it gained, what left the brands, whom it reached."""
    numbers = []
    if data.quality and (gained := _gain(data.quality)):
        numbers.append(gained)
    if data.egress:
        messages = sum(sent.messages for sent in data.egress.sent)
        left = sum(sent.sent_bytes for sent in data.egress.sent)
        kinds = len(data.egress.types)
        note = f"{plural(messages, 'message')} of {plural(kinds, 'kind')}, each listed below"
        numbers.append(KeyNumber(size(left), "left the brands while training, as sums", note))
    if data.audiences:
        first = data.audiences[0]
        delivered = sum(brand.delivered for brand in first.brands)
        eligible = sum(brand.eligible for brand in first.brands)
        note = f"of {count(eligible)} who consented and can be reached"
        numbers.append(KeyNumber(count(delivered), f"people delivered to {first.channel}", note))
    return numbers


def consent_finding(funnels: Sequence[ConsentFunnel]) -> str:
    """Say how many customers became training rows."""
    customers = sum(funnel.steps[0].remaining for funnel in funnels)
    rows = sum(funnel.steps[-1].remaining for funnel in funnels)
    share = percent(rows / customers) if customers else "none"
    return f"{count(rows)} of {count(customers)} customers ({share}) may train the model, and do."


def quality_finding(quality: Quality) -> str:
    """Say where training together paid, where it did not, and where it cost."""
    parts = []
    better, worse = ("raised", "lowered") if quality.rises else ("lowered", "raised")
    for verdict, words in (
        ("gains", f"{better} {quality.measure} at"),
        ("no difference", "made no clear difference at"),
        ("loses", f"{worse} it at"),
    ):
        brands = [b for b in quality.brands if b.verdict == verdict]
        if brands:
            named = [
                f"{b.brand} ({_moved(quality, b.difference.value)})" if b.difference else b.brand
                for b in brands
            ]
            shown = named if len(named) <= _NAMED else [plural(len(named), "brand")]
            parts.append(f"{words} {listing(shown)}")
    return f"Training together {listing(parts)}." if parts else "No brand could be compared."


def lift_finding(curves: Sequence[LiftCurve]) -> str:
    """Say how much richer the best customers are than the average one."""
    drawn = [curve for curve in curves if curve.points]
    if not drawn:
        return "No curve could be measured."
    parts = [f"{times(curve.points[0].lift)} the average at {curve.name}" for curve in drawn]
    if len(drawn) > _NAMED:
        lifts = [curve.points[0].lift for curve in drawn]
        parts = [f"{times(min(lifts))} to {times(max(lifts))} the average, depending on the brand"]
    first = percent(drawn[0].points[0].share)
    return f"Among the best {first} of customers, positives are {listing(parts)}."


@dataclass(frozen=True, slots=True)
class Gaps:
    """Mean and largest distance between predicted and observed rates, as shares."""

    mean: float
    largest: float


def gaps(curve: CalibrationCurve) -> Gaps | None:
    """Measure how far a calibration curve is from the diagonal; None without points."""
    distances = [abs(point.predicted - point.observed) for point in curve.points]
    return Gaps(fmean(distances), max(distances)) if distances else None


def calibration_finding(curves: Sequence[CalibrationCurve]) -> str:
    """Say how far probabilities may be taken at their word."""
    known = [(curve.name, found) for curve in curves if (found := gaps(curve))]
    if not known:
        return "No probabilities could be checked."
    name, worst = max(known, key=lambda pair: pair[1].mean)
    points = f"{100 * worst.mean:.1f} percentage points"
    where = f", farthest at {name}" if len(known) > 1 else ""
    return f"Probabilities are off by {points} on average at most{where}."


def importance_finding(importance: Sequence[FeatureImportance]) -> str:
    """Say what the trees lean on most."""
    ranked = sorted(importance, key=lambda item: (-item.gain, item.feature))
    total = sum(item.gain for item in ranked) or 1.0
    share = percent(sum(item.gain for item in ranked[:3]) / total, 0)
    used = sum(1 for item in ranked if item.splits)
    names = listing([item.feature for item in ranked[:3]])
    return f"{names} bring {share} of the gain; {count(used)} of {count(len(ranked))} are used."


def privacy_finding(privacy: Privacy) -> str:
    """Say what was promised, in the field's words."""
    against = ""
    if privacy.colluders:
        sites = "site gives its" if privacy.colluders == 1 else "sites give their"
        against = f", even if {in_words(privacy.colluders).lower()} {sites} noise away"
    return (
        f"Everything that left a brand is ({privacy.epsilon:g}, {privacy.delta:g})-differentially "
        f"private for {privacy.unit}{against}."
    )


def egress_finding(egress: Egress) -> str:
    """Say how much left each site."""
    sites: dict[str, int] = {}
    for sent in egress.sent:
        sites[sent.site] = sites.get(sent.site, 0) + sent.sent_bytes
    if not sites:
        return "Nothing left a site."
    mean = size(round(fmean(sites.values())))
    return (
        f"{plural(len(sites), 'site')} sent {size(sum(sites.values()))}, about {mean} each, in "
        f"{plural(len(egress.types), 'type')} of message."
    )


def audience_finding(audience: Audience) -> str:
    """Say how many were asked for, and how many arrived."""
    requested = sum(brand.requested for brand in audience.brands)
    delivered = sum(brand.delivered for brand in audience.brands)
    return (
        f"{count(delivered)} of {count(requested)} people requested were delivered, the best "
        f"{percent(audience.share)} of those who agreed to {audience.channel}."
    )


def lookalike_finding(lookalike: Lookalike) -> str:
    """Say what the lookalike finds at the brands, beside the better baseline."""
    parts = []
    for target in lookalike.targets:
        baseline = target.rfm if target.rfm is not None else target.random
        beside = f" (baseline {times(baseline)})" if baseline is not None else ""
        if not target.is_seed:
            parts.append(f"{times(target.lift.value)} at {target.brand}{beside}")
    share = percent(lookalike.share)
    if not parts:
        return "No target brand could be measured."
    if len(parts) > _NAMED:
        lifts = [target.lift.value for target in lookalike.targets if not target.is_seed]
        parts = [f"{times(min(lifts))} to {times(max(lifts))} at {plural(len(lifts), 'brand')}"]
    return f"Lift among the best {share}: {listing(parts)}."


def sync_finding(syncs: Sequence[Sync]) -> str:
    """Say what the syncs sent, took back and refused."""
    sent, removed = sum(s.sent for s in syncs), sum(s.removed for s in syncs)
    rejected = sum(s.rejected for s in syncs)
    quiet = sum(1 for s in syncs if s.sent == 0)
    still = f" {in_words(quiet)} of {len(syncs)} had nothing to send." if quiet else ""
    refused = plural(rejected, "record")
    return (
        f"{plural(sent, 'record')} sent in all, {count(removed)} of them removals; destinations "
        f"refused {refused if rejected else 'none'}.{still}"
    )


def _moved(quality: Quality, better: float) -> str:
    """Write how far the measure itself moved, where training together is ``better`` by so much."""
    return signed(better if quality.rises else -better)


def _gain(quality: Quality) -> KeyNumber | None:
    compared = [brand for brand in quality.brands if brand.difference]
    if compared:
        mean = fmean(brand.difference.value for brand in compared if brand.difference)
        gains, loses = (
            sum(1 for brand in compared if brand.verdict == verdict)
            for verdict in ("gains", "loses")
        )
        note = f"mean of {plural(len(compared), 'brand')}: {gains} gain, {loses} lose"
        label = f"{quality.measure} from training together"
        return KeyNumber(_moved(quality, mean), label, note)
    if quality.overall:
        note = "on held-out rows of all brands"
        label = f"{quality.measure} of the federated model"
        return KeyNumber(f"{quality.overall.value:.3f}", label, note)
    return None

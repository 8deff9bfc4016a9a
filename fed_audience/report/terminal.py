"""Draws the facts of a report in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from fed_audience.report.summary import privacy_finding

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from fed_audience.report.data import BrandQuality, Estimate, ReportData

_VERDICT_STYLE = {"gains": "green", "loses": "red", "no difference": "yellow"}


def show(facts: ReportData, console: Console) -> None:
    """Print the sections that ``facts`` hold, in the report's order; warnings come last."""
    parts = [
        _funnel(facts) if facts.consent else None,
        _quality(facts),
        _privacy(facts),
        _identity(facts),
        *_lookalikes(facts),
        _audiences(facts) if facts.audiences else None,
        _syncs(facts) if facts.syncs else None,
        _story(facts),
        _left(facts),
    ]
    for part in parts:
        if part is not None:
            console.print(part)
    for warning in facts.warnings:
        console.print(Text(f"! {warning}", style="yellow"))


def _grid(title: str, *columns: str, text_columns: int = 1) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", header_style="dim")
    for position, column in enumerate(columns):
        table.add_column(column, justify="left" if position < text_columns else "right")
    return table


def _funnel(facts: ReportData) -> Table:
    names = [step.name for step in facts.consent[0].steps]
    table = _grid("Consent: people left after each step", "brand", *names)
    for funnel in facts.consent:
        table.add_row(funnel.brand, *(f"{step.remaining:,}" for step in funnel.steps))
    return table


def _quality(facts: ReportData) -> RenderableType | None:
    if facts.quality is None:
        return None
    table = _grid(
        f"{facts.run.model}: {facts.quality.measure} on each brand's own held-out customers"
        f"{'' if facts.quality.rises else ', the lower the better'}",
        "brand",
        "alone -> federated",
        "gain",
        "verdict",
    )
    for brand in facts.quality.brands:
        style = _VERDICT_STYLE.get(brand.verdict or "", "")
        table.add_row(brand.brand, *_gain(brand), Text(brand.verdict or "-", style=style))
    return table


def _gain(brand: BrandQuality) -> tuple[str, str]:
    federated = "-" if brand.federated is None else f"{brand.federated.value:.4f}"
    alone = "no model" if brand.alone is None else f"{brand.alone.value:.4f}"
    return f"{alone} -> {federated}", _with_half_width(brand.difference)


def _with_half_width(estimate: Estimate | None) -> str:
    if estimate is None:
        return "-"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:+.4f}"
    return f"{estimate.value:+.4f} +- {(estimate.high - estimate.low) / 2:.4f}"


def _privacy(facts: ReportData) -> RenderableType | None:
    return None if facts.privacy is None else Text(f"{privacy_finding(facts.privacy)}\n")


def _identity(facts: ReportData) -> RenderableType | None:
    run = facts.run
    if run.pooled_sha256 is None:
        return None
    same = run.model_sha256 == run.pooled_sha256
    return Text(
        f"The federated model is {'' if same else 'NOT '}byte for byte the model trained on all "
        f"rows in one place (sha256 {run.model_sha256[:12]} and {run.pooled_sha256[:12]}).\n",
        style="green" if same else "bold red",
    )


def _lookalikes(facts: ReportData) -> list[Table]:
    tables = []
    for lookalike in facts.lookalikes:
        table = _grid(
            f"Lookalike '{lookalike.name}' ({lookalike.mode}): lift in the top "
            f"{lookalike.share:.0%}, 1 is chance, against "
            f"{lookalike.measured_against or 'the labels'}",
            "brand",
            "lookalike",
            "random",
            "recency-frequency-money",
        )
        for target in lookalike.targets:
            others = (target.random, target.rfm)
            table.add_row(
                f"{target.brand} (seeds)" if target.is_seed else target.brand,
                f"{target.lift.value:.2f}",
                *("-" if lift is None else f"{lift:.2f}" for lift in others),
            )
        tables.append(table)
    return tables


def _audiences(facts: ReportData) -> Table:
    table = _grid(
        "Audiences, in people",
        "audience",
        "brand",
        "requested",
        "eligible",
        "delivered",
        "no identifier",
        text_columns=2,
    )
    for audience in facts.audiences:
        for brand in audience.brands:
            counts = (brand.requested, brand.eligible, brand.delivered, brand.no_identifier)
            table.add_row(audience.name, brand.brand, *(f"{count:,}" for count in counts))
    return table


def _syncs(facts: ReportData) -> Table:
    table = _grid("Syncs, in records", "round", "added", "updated", "removed", "rejected", "sent")
    for label in dict.fromkeys(sync.label for sync in facts.syncs):
        of_round = [sync for sync in facts.syncs if sync.label == label]
        sums = (
            sum(sync.added for sync in of_round),
            sum(sync.updated for sync in of_round),
            sum(sync.removed for sync in of_round),
            sum(sync.rejected for sync in of_round),
            sum(sync.sent for sync in of_round),
        )
        table.add_row(label, *(f"{value:,}" for value in sums))
    return table


def _story(facts: ReportData) -> RenderableType | None:
    story = facts.withdrawal
    if story is None:
        return None
    lines = [f"{step.title}: {step.detail}" for step in story.steps]
    return Panel(
        Text("\n".join(lines)),
        title=f"one withdrawal at {story.brand}, followed through",
        title_align="left",
    )


def _left(facts: ReportData) -> RenderableType | None:
    if facts.egress is None or facts.egress.largest is None:
        return None
    sent: dict[str, int] = {}
    for row in facts.egress.sent:
        sent[row.site] = sent.get(row.site, 0) + row.sent_bytes
    total = ", ".join(f"{site} {size / 2**20:.1f} MiB" for site, size in sent.items())
    largest = facts.egress.largest
    return Text(
        f"Left the sites while training '{facts.run.model}': {total}. The largest message, "
        f"{largest.message_type} from {largest.site} ({largest.sent_bytes / 1024:,.0f} KiB): "
        f"{largest.description}\n"
    )

"""What a sync would send or has sent, in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from fed_audience.jobs.unchanged import RETRAINS

if TYPE_CHECKING:
    from rich.console import Console

    from fed_audience.jobs.sync import SitePlan, SiteReport
    from fed_audience.jobs.train import TrainedModel
    from fed_audience.jobs.unchanged import Unchanged


def show_plan(planned: SitePlan, console: Console) -> None:
    """Print the counts of a dry run, what blocks it, and masked examples."""
    plan = planned.plan
    counts = plan.counts()
    told = ", ".join(f"{name} {counts[name]:,}" for name in ("withdraw", "remove", "add", "update"))
    console.print(
        f"{planned.site} -> {planned.destination}: {told}, unchanged {plan.unchanged:,}, "
        f"no identifier {plan.no_identifier:,}",
        highlight=False,
    )
    for rule, people in plan.suppressed.items():
        console.print(f"  held back by consent, {rule}: {people:,}", highlight=False)
    if plan.blocked:
        console.print(f"  removals wait: {plan.blocked}; --confirm-removals lets them pass")
    examples = Table("record", "change", "reason", "identifiers", header_style="dim")
    for one in plan.examples(3):
        identifiers = ", ".join(f"{name} {value}" for name, value in one.identifiers.items())
        examples.add_row(one.record, one.change, one.reason, identifiers)
    if examples.row_count:
        console.print(examples)


def show_sync(done: SiteReport, console: Console) -> None:
    """Print what one brand sent to one destination."""
    report = done.report
    console.print(
        f"{done.site} -> {done.destination}: {report.status}; withdrawn {report.withdrawn:,}, "
        f"removed {report.removed:,}, added {report.added:,}, updated {report.updated:,}, "
        f"unchanged {report.unchanged:,}, rejected {report.rejected:,}",
        highlight=False,
    )
    if report.blocked:
        console.print(
            f"  {report.held_back:,} removals wait: {report.blocked}; "
            "--confirm-removals lets them pass"
        )


def show_unchanged(same: Unchanged, console: Console) -> None:
    """Print that a model was not trained, and what would make it be."""
    console.print(f"{same}. What retrains it: {RETRAINS}", highlight=False, soft_wrap=True)


def show_trained(trained: TrainedModel, console: Console) -> None:
    """Print why a model was trained, what came out, and what noise promised."""
    if trained.why:
        console.print(f"Trained because of: {'; '.join(trained.why)}", soft_wrap=True)
    result = trained.result
    headline = result.metrics.headline if result.metrics else None
    measured = f", {headline} on rows kept aside at the sites" if headline else ""
    about = "" if result.privacy is None else "about "
    console.print(
        f"{trained.name} version {trained.version}: {len(result.model.trees)} trees from "
        f"{about}{result.counts.rows:,} rows of {len(trained.manifest.training_sites)} sites in "
        f"{result.rounds} rounds{measured}"
    )
    if result.privacy is not None:
        console.print(f"Privacy: {result.privacy.sentence()}", highlight=False, soft_wrap=True)

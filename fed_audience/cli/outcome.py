"""What a sync would send or has sent, in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from rich.console import Console

    from fed_audience.jobs.sync import SitePlan, SiteReport


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

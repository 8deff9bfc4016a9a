"""Draws what a demo found in the terminal, from the same facts as its report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.text import Text

from fed_audience.report import terminal

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from fed_audience.report.data import ReportData


@dataclass(frozen=True, slots=True)
class DemoOutcome:
    """The facts of the report, and what only the terminal says."""

    facts: ReportData
    customers: int
    events: int
    setting: str
    withdrawn_people: int
    report: Path
    seconds: float


def show(outcome: DemoOutcome, console: Console) -> None:
    """Print the summary of one demo run, from the consent funnel to the next command to try."""
    facts = outcome.facts
    console.rule("[bold]what happened[/bold]")
    console.print(
        f"All data is generated: {outcome.customers:,} customers and {outcome.events:,} events of "
        f"{len(facts.run.sites)} brands, setting '{outcome.setting}', "
        f"as of {facts.run.as_of:%Y-%m-%d %H:%M} UTC. "
        f"{outcome.withdrawn_people} people withdrew after the first delivery.\n"
    )
    terminal.show(facts, console)
    console.print(f"\n[bold]Report:[/bold] {outcome.report}", soft_wrap=True)
    console.print(f"Took {outcome.seconds:.0f} s. Try next:")
    for step in facts.next_steps:
        console.print(Text(f"  {step.command}", style="bold"), soft_wrap=True)
        console.print(Text(f"    {step.shows}", style="dim"), soft_wrap=True)

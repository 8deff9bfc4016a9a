"""`fed-audience consent`: why a person may or may not be used, and how many may."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fed_audience.cli.federation import AsOf, instant_of

if TYPE_CHECKING:
    from fed_audience.jobs.sites import Site

Project = Annotated[Path, typer.Option(help="The brand's dbt project.")]
Target = Annotated[str | None, typer.Option(help="Target of its profile.")]


def explain(
    customer: str, *, project: Project = Path(), target: Target = None, as_of: AsOf = None
) -> None:
    """Show every event of a person, the rule that decided, and the outcome per purpose."""
    from rich.console import Console  # noqa: PLC0415 - start-up time
    from rich.table import Table  # noqa: PLC0415

    from fed_audience.consent.explain import explain as explained  # noqa: PLC0415
    from fed_audience.consent.statement import ConsentRelations  # noqa: PLC0415

    site = _site(project, target)
    with site.open() as warehouse:
        found = explained(
            warehouse,
            customer,
            instant_of(as_of),
            relations=ConsentRelations.of_schema(site.profile.schema_),
        )
    console = Console()
    console.print(
        f"{customer} as of {found.as_of:%Y-%m-%d %H:%M} UTC; "
        f"identities: {', '.join(found.identities) or 'none'}; "
        f"jurisdictions: {', '.join(found.places) or 'none'}",
        highlight=False,
    )
    table = Table("purpose", "allowed", "rule", "why", header_style="dim")
    for outcome in found.outcomes:
        allowed = outcome.decision.allowed
        word = "[green]yes[/green]" if allowed else "[red]no[/red]"
        table.add_row(outcome.purpose, word, outcome.decision.rule, outcome.sentence)
    console.print(table)
    events = Table("recorded", "effective", "purpose", "status", "part", header_style="dim")
    for outcome in found.outcomes:
        for one in outcome.events:
            event = one.event
            events.add_row(
                f"{event.recorded_at:%Y-%m-%d %H:%M}" if event.recorded_at else "-",
                f"{event.effective_at:%Y-%m-%d %H:%M}" if event.effective_at else "-",
                outcome.purpose,
                event.status or "-",
                one.part,
            )
    console.print(events)


def funnel(*, project: Project = Path(), target: Target = None, as_of: AsOf = None) -> None:
    """Count a brand's people by purpose, and those lost to each rule."""
    from rich.console import Console  # noqa: PLC0415 - start-up time
    from rich.table import Table  # noqa: PLC0415

    from fed_audience.consent.funnel import funnel as counted  # noqa: PLC0415
    from fed_audience.consent.statement import ConsentRelations  # noqa: PLC0415

    site = _site(project, target)
    with site.open() as warehouse:
        found = counted(
            warehouse,
            instant_of(as_of),
            relations=ConsentRelations.of_schema(site.profile.schema_),
        )
    console = Console()
    steps = " -> ".join(f"{stage.name} {stage.people:,}" for stage in found.stages)
    console.print(steps, highlight=False)
    table = Table("purpose", "people", "lost, by rule", header_style="dim")
    for purpose in found.purposes:
        lost = ", ".join(f"{rule} {count:,}" for rule, count in purpose.lost.items())
        table.add_row(purpose.purpose, f"{purpose.people:,}", lost)
    console.print(table)


def _site(project: Path, target: str | None) -> Site:
    from fed_audience.jobs.settings import SiteSettings  # noqa: PLC0415 - start-up time
    from fed_audience.jobs.sites import site_of  # noqa: PLC0415

    return site_of(SiteSettings(name="brand", project=project.resolve(), target=target))

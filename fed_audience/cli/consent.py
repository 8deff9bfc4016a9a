"""`fed-audience consent`: why a person may or may not be used, and how many may."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fed_audience.cli.federation import AsOf, instant_of
from fed_audience.errors import UsageError

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


def coverage(*, project: Project = Path(), target: Target = None, as_of: AsOf = None) -> None:
    """Count people by purpose and source, those lost to each rule, and flags that mean nothing."""
    from rich.console import Console  # noqa: PLC0415 - start-up time
    from rich.table import Table  # noqa: PLC0415

    from fed_audience.consent.coverage import consent_by_source, unmapped_flags  # noqa: PLC0415
    from fed_audience.consent.funnel import funnel as counted  # noqa: PLC0415
    from fed_audience.consent.statement import ConsentRelations  # noqa: PLC0415

    site, instant = _site(project, target), instant_of(as_of)
    relations = ConsentRelations.of_schema(site.profile.schema_)
    with site.open() as warehouse:
        sources = consent_by_source(warehouse, relations, instant)
        lost = counted(warehouse, instant, relations=relations)
        unmapped = unmapped_flags(warehouse, relations)
    console = Console()
    table = Table("purpose", "source", "legal basis", "people", header_style="dim")
    for one in sources:
        table.add_row(one.purpose, one.source or "-", one.legal_basis or "-", f"{one.people:,}")
    console.print(table)
    table = Table("purpose", "rule", "people lost", header_style="dim")
    for purpose in lost.purposes:
        for rule, people in purpose.lost.items():
            table.add_row(purpose.purpose, rule, f"{people:,}")
    console.print(table)
    for flag in unmapped:
        console.print(
            f"{flag.events:,} grants of {flag.source or 'an unnamed source'} by "
            f"{flag.flag or 'no flag'} (policy version {flag.policy_version or 'unknown'}) consent "
            "to nothing: consent_mapping has no approved row for them",
            highlight=False,
        )


def check(*, project: Project = Path(), target: Target = None) -> None:
    """Fail when a flag has no approved mapping, or a row of the mapping cannot be right."""
    from fed_audience.consent.coverage import check_mapping  # noqa: PLC0415 - start-up time
    from fed_audience.consent.statement import ConsentRelations  # noqa: PLC0415

    site = _site(project, target)
    with site.open() as warehouse:
        rows = check_mapping(warehouse, ConsentRelations.of_schema(site.profile.schema_))
    typer.echo(f"every flag has a meaning that somebody approved; rows of the mapping: {rows}")


def decode(
    kind: Annotated[str, typer.Argument(help="tcf or gpp.")],
    text: Annotated[str, typer.Argument(help="The string, as the consent platform wrote it.")],
    *,
    vendor: Annotated[int, typer.Option(help="The brand's vendor id of the TCF.")],
) -> None:
    """Show the flags of a consent string: what is granted, and why the others are not."""
    from rich.console import Console  # noqa: PLC0415 - start-up time
    from rich.table import Table  # noqa: PLC0415

    from fed_audience.consent.signals import decode_signal  # noqa: PLC0415

    if kind not in ("tcf", "gpp"):
        raise UsageError(
            "no such kind of consent string",
            value=kind,
            limit="tcf, gpp",
            fix="say what the platform wrote",
        )
    signal = decode_signal("tcf" if kind == "tcf" else "gpp", text, vendor=vendor)
    table = Table("flag", "granted", "why not", header_style="dim")
    for flag in signal.flags:
        table.add_row(flag.name, "yes" if flag.granted else "no", flag.why)
    console = Console()
    console.print(f"policy version: {signal.policy_version or 'unknown'}", highlight=False)
    console.print(table)


def _site(project: Path, target: str | None) -> Site:
    from fed_audience.jobs.settings import SiteSettings  # noqa: PLC0415 - start-up time
    from fed_audience.jobs.sites import site_of  # noqa: PLC0415

    return site_of(SiteSettings(name="brand", project=project.resolve(), target=target))

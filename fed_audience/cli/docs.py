"""`fed-audience docs`: the governance record of a federation, and its check for CI."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fed_audience.cli.federation import DEFAULT_CONFIG, AsOf, Config, instant_of

Out = Annotated[Path, typer.Option(help="Folder of governance.md and governance.html.")]
DEFAULT_OUT = Path("governance")


def docs(
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail for a use that is not declared.")
    ] = False,
    out: Out = DEFAULT_OUT,
    config: Config = DEFAULT_CONFIG,
    as_of: AsOf = None,
) -> None:
    """Write which data takes part, who the partners are, how outputs are used, on what basis."""
    from fed_audience.files import check_place, write_whole  # noqa: PLC0415 - start-up time
    from fed_audience.jobs.declaration_check import require_declared, undeclared  # noqa: PLC0415
    from fed_audience.jobs.governance_record import governance_record  # noqa: PLC0415
    from fed_audience.jobs.settings import load_federation  # noqa: PLC0415
    from fed_audience.report.governance import to_html, to_markdown  # noqa: PLC0415
    from fed_audience.warehouse.declared_uses import read_declared_uses  # noqa: PLC0415

    settings = load_federation(config)
    uses = [(site, read_declared_uses(site.project)) for site in settings.sites]
    findings = [text for site, one in uses for text in undeclared(settings, site, one)]
    if check:
        for text in findings:
            typer.echo(text)
        require_declared(findings)
        trainings = sum(len(one.trainings) for _, one in uses)
        tables = sum(len(one.score_tables) for _, one in uses)
        typer.echo(f"{trainings} training models and {tables} score tables: all uses are declared")
        return
    pages = out / "governance.md", out / "governance.html"
    for page in pages:
        check_place(page, "the record", "--out")
    record = governance_record(settings, instant_of(as_of))
    for page, text in zip(pages, (to_markdown(record), to_html(record)), strict=True):
        write_whole(page, text.encode(), "the record")
        typer.echo(page)
    if findings:
        typer.echo(f"{len(findings)} uses are not declared: fed-audience docs --check", err=True)

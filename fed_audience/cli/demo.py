"""`fed-audience demo`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from fed_audience.cli.inspect_egress import RecordEgress, recording


def demo(
    *,
    folder: Annotated[
        Path, typer.Option("--dir", help="Where the demo's data, projects and report go.")
    ] = Path(".demo"),
    customers: Annotated[
        int, typer.Option(help="Generated customers of all three brands together.")
    ] = 60_000,
    seed: Annotated[int, typer.Option(help="The same seed gives the same people.")] = 7,
    setting: Annotated[
        str,
        typer.Option(help="kindred: brands resemble each other; discord: federating must lose."),
    ] = "kindred",
    record_egress: RecordEgress = None,
) -> None:
    """Take three generated brands from raw tables to a delivered, consented audience."""
    from rich.console import Console  # noqa: PLC0415 - imports cost a second of start-up

    from fed_audience.cli.progress import Steps  # noqa: PLC0415
    from fed_audience.demo.run import run_demo  # noqa: PLC0415
    from fed_audience.demo.summary import show  # noqa: PLC0415

    console = Console()
    with Steps(console) as steps, recording(record_egress) as recorder:
        run = run_demo(
            folder,
            customers=customers,
            seed=seed,
            setting=setting,
            listeners=replace(steps.listeners, on_message=recorder),
        )
    show(run.outcome, console)

"""`fed-audience overlap`: how many customers two brands have in common, without lists."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fed_audience.cli.federation import DEFAULT_CONFIG, AsOf, Config, instant_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import SecretStr

    from fed_audience.jobs.overlap import Compared, Counted, OverlapSide
    from fed_audience.privacy.overlap.points import Workers

Out = Annotated[Path | None, typer.Option(help="Where the file for the partner goes.")]
Processes = Annotated[
    int | None, typer.Option(min=1, help="Processes that compute. [default: one a core]")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Message = Annotated[Path, typer.Argument(metavar="FILE", help="What the partner sent.")]


def key(
    site: Annotated[str, typer.Argument(help="The brand whose customers are here.")],
    *,
    config: Config = DEFAULT_CONFIG,
) -> None:
    """Print our public key, which a partner adds to its file of pinned keys."""
    side = _side(config, None)
    typer.echo(side.own_key(site))


def start(
    site: Annotated[str, typer.Argument(help="The brand whose customers are here.")],
    partner: Annotated[str, typer.Argument(help="The brand that is asked.")],
    *,
    audience: Annotated[
        str | None, typer.Option(help="Compare this audience's members, not all customers.")
    ] = None,
    out: Out = None,
    processes: Processes = None,
    config: Config = DEFAULT_CONFIG,
    as_of: AsOf = None,
    as_json: AsJson = False,
) -> None:
    """Ask a partner how many of our customers it has too: write a question for it."""
    side, salt = _opened(config, as_of)
    path = out or Path(f"{site}-to-{partner}.question")
    with _workers(processes) as workers:
        done = side.start(site, partner, path, salt, workers, audience)
    _tell_compared(done, path, "answer", as_json=as_json)


def answer(
    file: Message,
    *,
    out: Out = None,
    processes: Processes = None,
    config: Config = DEFAULT_CONFIG,
    as_of: AsOf = None,
    as_json: AsJson = False,
) -> None:
    """Answer a partner's question with our own customers who consent to its purpose."""
    side, salt = _opened(config, as_of)
    path = out or file.with_suffix(".answer")
    with _workers(processes) as workers:
        done = side.answer(file, path, salt, workers)
    _tell_compared(done, path, "finish", as_json=as_json)


def finish(
    file: Message,
    *,
    out: Out = None,
    processes: Processes = None,
    config: Config = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Count by a partner's answer, and write the count for the partner."""
    side = _side(config, None)
    path = out or file.with_suffix(".count")
    with _workers(processes) as workers:
        done = side.finish(file, path, workers)
    _tell_counted(done, path, as_json=as_json)


def read(file: Message, *, config: Config = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Read the count that the partner who asked has sent back."""
    _tell_counted(_side(config, None).read(file), None, as_json=as_json)


def _opened(config: Path, as_of: str | None) -> tuple[OverlapSide, SecretStr]:
    from fed_audience.config import secret_from_environment  # noqa: PLC0415 - start-up time

    side = _side(config, as_of)
    return side, secret_from_environment(side.rules.salt)


def _side(config: Path, as_of: str | None) -> OverlapSide:
    from fed_audience.jobs.overlap import OverlapSide  # noqa: PLC0415 - start-up time
    from fed_audience.jobs.settings import load_federation  # noqa: PLC0415 - the same

    instant = instant_of(as_of)
    now = datetime.now(UTC).replace(tzinfo=None)
    return OverlapSide(load_federation(config), as_of=instant, now=now)


@contextmanager
def _workers(processes: int | None) -> Iterator[Workers]:
    from rich.console import Console  # noqa: PLC0415 - start-up time
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    from fed_audience.privacy.overlap.points import Workers  # noqa: PLC0415

    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.completed:,.0f} points"), TimeElapsedColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task("points", total=None)
        with Workers(processes, lambda points: progress.advance(task, points)) as workers:
            yield workers


def _tell_compared(done: Compared, path: Path, then: str, *, as_json: bool) -> None:
    import json  # noqa: PLC0415 - start-up time
    from dataclasses import asdict  # noqa: PLC0415 - the same

    if as_json:
        typer.echo(json.dumps({**asdict(done), "file": str(path)}, indent=2))
        return
    typer.echo(
        f"{done.site} with {done.partner}: {done.listed:,} people who consent to {done.purpose}, "
        f"sent as {done.sent:,} points; query {done.number} of {done.allowed} this month"
    )
    typer.echo(
        f"Send {path} to {done.partner}, which runs `fed-audience overlap {then} {path.name}`"
    )


def _tell_counted(done: Counted, path: Path | None, *, as_json: bool) -> None:
    import json  # noqa: PLC0415 - start-up time
    from dataclasses import asdict  # noqa: PLC0415 - the same

    if as_json:
        file = None if path is None else str(path)
        typer.echo(json.dumps({**asdict(done), "file": file}, indent=2))
        return
    count, margin = done.released.count, done.released.margin
    if count is None:
        typer.echo(f"{done.site} and {done.partner} have fewer than {done.threshold} in common")
    else:
        typer.echo(
            f"{done.site} and {done.partner} have about {count:,} in common, within {margin} in 95 "
            f"of 100 queries: {count / done.listed:.1%} of the {done.listed:,} compared here"
        )
    if path is not None:
        typer.echo(
            f"Send {path} to {done.partner}, which runs `fed-audience overlap read {path.name}`"
        )

"""`fed-audience inspect-egress`: what left the sites, message by message."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fed_audience.federation import Envelope
    from fed_audience.testing.inspection import Inspection

RecordEgress = Annotated[
    Path | None,
    typer.Option("--record-egress", help="Write every message of the sites there, to inspect."),
]
_SHOWN = 20


def inspect_egress(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="Written with --record-egress.")],
    *,
    needles: Annotated[
        Path | None, typer.Option(help="File of values that must not appear, one a line.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check every byte that left the sites against the catalogue; exit code 14 if it fails."""
    import json  # noqa: PLC0415 - start-up time
    from dataclasses import asdict  # noqa: PLC0415 - the same

    from fed_audience.errors import EgressError  # noqa: PLC0415 - the same
    from fed_audience.testing.inspection import inspect_recording, read_needles  # noqa: PLC0415

    found = inspect_recording(path, read_needles(needles) if needles else ())
    if as_json:
        typer.echo(json.dumps(asdict(found), indent=2))
    else:
        _show(found)
    if found.complaints:
        first = found.complaints[0]
        raise EgressError(
            f"{len(found.complaints)} complaints about what crossed the sites' borders; the first: "
            f"message {first.message}, {first.kind} {first.direction.replace('_', ' ')} "
            f"{first.site}, {first.why}",
            looked=str(path),
            fix="stop training with these sites until it is known what sent it",
        )


@contextmanager
def recording(path: Path | None) -> Iterator[Callable[[Envelope], None]]:
    """Record messages to ``path`` while the context lasts; without a path, nothing."""
    if path is None:
        yield lambda _: None
        return
    from fed_audience.federation.recording import Recording  # noqa: PLC0415 - start-up time

    with Recording(path) as recorder:
        yield recorder


def _show(found: Inspection) -> None:
    from rich.console import Console  # noqa: PLC0415 - start-up time
    from rich.table import Table  # noqa: PLC0415 - the same

    console = Console()
    table = Table("message", "way", "sites", "messages", "bytes", "largest", "reveals", box=None)
    for column in table.columns[2:6]:
        column.justify = "right"
    for row in found.kinds:
        table.add_row(
            row.kind,
            row.direction.replace("_", " "),
            str(len(row.sites)),
            f"{row.messages:,}",
            f"{row.bytes:,}",
            f"{row.largest:,}",
            row.reveals,
        )
    console.print(table)
    messages, total = found.leaving()
    looked = f"; {found.needles} needles looked for" if found.needles else ""
    console.print(
        f"{messages:,} messages, {total:,} bytes left the sites{looked}; "
        f"{len(found.complaints)} complaints",
        highlight=False,
    )
    for one in found.complaints[:_SHOWN]:
        console.print(f"! message {one.message}, {one.kind}, {one.site}: {one.why}", markup=False)

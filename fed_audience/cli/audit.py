"""`fed-audience audit`: show, verify and export the audit logs of runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fed_audience.cli.federation import DEFAULT_CONFIG, Config

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fed_audience.audit.entries import Entry
    from fed_audience.audit.verification import Verification

Logs = Annotated[Path, typer.Argument(metavar="LOG", help="A log, or a folder of logs.")]
Keys = Annotated[
    Path | None, typer.Option("--keys", help="File of the parties' public keys that you pinned.")
]
Kept = Annotated[
    list[Path] | None,
    typer.Option("--kept", help="Checkpoint that a site kept, or its folder; repeatable."),
]
UnderWay = Annotated[
    bool, typer.Option("--under-way", help="Also logs of runs that are not over, as far as told.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def verify(
    path: Logs,
    *,
    keys: Keys = None,
    kept: Kept = None,
    under_way: UnderWay = False,
    as_json: AsJson = False,
) -> None:
    """Check every signature, entry and checkpoint of a log; exit code 13 at the first fault."""
    import json  # noqa: PLC0415 - start-up time

    from fed_audience.audit.verification import verify as verified  # noqa: PLC0415

    found = [
        verified(log, pinned=keys, kept=kept or (), finished=not under_way) for log in _logs(path)
    ]
    if as_json:
        typer.echo(json.dumps([_result(one) for one in found], indent=2))
        return
    for one in found:
        _say(one)


def fetch(
    run: Annotated[str, typer.Argument(help="The run, as `federation status` names it.")],
    *,
    config: Config = DEFAULT_CONFIG,
) -> None:
    """Fetch a run's log from the coordinator, and check it against what this site kept of it."""
    from fed_audience.jobs.audit_fetching import fetch_log  # noqa: PLC0415 - start-up time

    found = fetch_log(config, run)
    _say(found)
    typer.echo(f"Kept as {found.path}")


def _say(one: Verification) -> None:
    typer.echo(f"{one.path.name}: sound, root {one.root}")
    for line in one.checked:
        typer.echo(f"  checked: {line}")
    for line in one.unchecked:
        typer.echo(f"  not checked: {line}")


def show(
    path: Logs,
    *,
    under_way: UnderWay = False,
    rounds: Annotated[bool, typer.Option("--rounds", help="Show every round.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what a log tells, after checking its signatures."""
    import json  # noqa: PLC0415 - start-up time

    from rich.console import Console  # noqa: PLC0415 - the same
    from rich.table import Table  # noqa: PLC0415 - the same

    from fed_audience.audit.verification import verify as verified  # noqa: PLC0415 - the same
    from fed_audience.cli.audit_entries import told  # noqa: PLC0415 - the same

    found = [verified(log, finished=not under_way) for log in _logs(path)]
    if as_json:
        logs = [_result(one) | {"log": _entries(one.entries)} for one in found]
        typer.echo(json.dumps(logs, indent=2))
        return
    console = Console()
    for one in found:
        console.print(f"[bold]{one.opened.origin}[/bold]", highlight=False, soft_wrap=True)
        table = Table("entry", "at (UTC)", "what", box=None, header_style="dim")
        table.columns[2].overflow = "fold"
        for numbers, at, what in told(one.entries, rounds=rounds):
            table.add_row(numbers, at, what)
        console.print(table)


def export(
    path: Annotated[
        Path, typer.Argument(metavar="LOG", help="The log of one run, or of a pair's overlaps.")
    ],
    *,
    form: Annotated[
        str,
        typer.Option("--format", help="in-toto, art30 (JSON) or art30-markdown."),
    ] = "in-toto",
    out: Annotated[Path | None, typer.Option(help="Write there. [default: print]")] = None,
    keys: Keys = None,
) -> None:
    """Retell a verified log: an in-toto statement of the model, or a GDPR Art. 30 record."""
    import json  # noqa: PLC0415 - start-up time

    from fed_audience.audit.export import in_toto_statement  # noqa: PLC0415 - the same
    from fed_audience.audit.processing import (  # noqa: PLC0415 - the same
        processing_markdown,
        processing_record,
    )
    from fed_audience.audit.verification import verify as verified  # noqa: PLC0415 - the same
    from fed_audience.errors import UsageError  # noqa: PLC0415 - the same

    forms = {
        "in-toto": lambda log: json.dumps(in_toto_statement(log), indent=2) + "\n",
        "art30": lambda log: json.dumps(processing_record(log), indent=2) + "\n",
        "art30-markdown": processing_markdown,
    }
    if form not in forms:
        raise UsageError(
            "--format is unknown", value=form, limit=", ".join(forms), fix="choose one of them"
        )
    text = forms[form](verified(path, pinned=keys))
    if out is None:
        typer.echo(text, nl=False)
        return
    unfinished = out.with_name(f"{out.name}.unfinished")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(out)
    typer.echo(f"Wrote {out}")


def _logs(path: Path) -> list[Path]:
    from fed_audience.errors import AuditError  # noqa: PLC0415 - start-up time

    if not path.is_dir():
        return [path]
    found = sorted(path.glob("*.jsonl"))
    if not found:
        raise AuditError(
            "there is no audit log in the folder",
            value="*.jsonl",
            looked=str(path),
            fix="give the folder `audit.folder` of federation.yml, or a log in it",
        )
    return found


def _result(one: Verification) -> dict[str, Any]:
    return {
        "path": str(one.path),
        "origin": one.opened.origin,
        "entries": len(one.entries),
        "checkpoints": one.checkpoints,
        "root": one.root,
        "checked": list(one.checked),
        "unchecked": list(one.unchecked),
    }


def _entries(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    return [entry.model_dump(mode="json") for entry in entries]

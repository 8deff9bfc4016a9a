"""Measure, and write results.json and the tables of README.md."""

from __future__ import annotations

import argparse
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.markdown import Markdown
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.goals import GOALS
from benchmarks.page import NAMES, fill, tables
from benchmarks.plan import BLOCKS, Cell, cells
from benchmarks.results import Entry, commit, document, entries, machine, write
from benchmarks.runner import ROOT, Samples, in_turn, run

HERE: Final = Path(__file__).resolve().parent
BUSY: Final = 0.5
"""Load of the machine above which figures are not worth keeping."""


def parsed(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    blocks = "\n".join(f"  {name:12} {what}" for name, what in BLOCKS.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        epilog=f"blocks:\n{blocks}\n\nA narrowed run writes its results into --home alone.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", nargs="+", choices=BLOCKS, metavar="BLOCK", help="these blocks")
    parser.add_argument("--learners", nargs="+", choices=NAMES, help="these learners")
    parser.add_argument("--rows", type=int, help="at most so many rows of a generated table")
    parser.add_argument("--trees", type=int, help="at most so many trees")
    parser.add_argument("--repeats", type=int, help="at most so many repeats of a cell")
    parser.add_argument("--resume", action="store_true", help="keep what an earlier run finished")
    parser.add_argument("--home", type=Path, default=ROOT / ".bench", help="tables and samples")
    parser.add_argument("--list", action="store_true", help="say what would run, and end")
    return parser.parse_args(arguments)


def chosen_cells(options: argparse.Namespace) -> list[Cell]:
    """Return the cells that the command line asks for."""
    plan = cells(most_rows=options.rows, trees=options.trees, repeats=options.repeats)
    return [
        cell
        for cell in plan
        if (not options.only or cell.block in options.only)
        and (not options.learners or cell.learner in options.learners)
    ]


def main(arguments: list[str] | None = None) -> int:
    """Run the plan; 1 when a cell failed or equal models were promised and differ."""
    options, console = parsed(arguments), Console()
    wanted = chosen_cells(options)
    if options.list:
        for cell, repeat in in_turn(wanted):
            console.print(f"{described(cell)}, run {repeat + 1}", highlight=False)
        return 0
    before = machine()
    if (load := before["load"][0]) > BUSY:
        console.print(f"[yellow]load {load}: the machine is busy, times will not be worth keeping")
    began = datetime.now(UTC)
    samples = Samples(options.home / "samples.jsonl", commit(), resume=options.resume)
    try:
        measured = entries(_with_progress(wanted, options.home, samples, console))
    except KeyboardInterrupt:
        console.print("\ninterrupted; the same command with --resume goes on from here")
        return 130
    typed = sys.argv[1:] if arguments is None else arguments
    command = shlex.join(["python", "-m", "benchmarks", *typed])
    goals = [goal.state(measured) for goal in GOALS]
    content = document(measured, goals, command, began, before)
    text = tables(content, measured)
    narrowed = any((options.only, options.learners, options.rows, options.trees, options.repeats))
    if narrowed:
        text = f"**A narrowed run: sizes may not be those that the titles name.** {text}"
    console.print(Markdown(text))
    write(content, (options.home if narrowed else HERE) / "results.json")
    if not narrowed:
        fill(HERE / "README.md", text)
    return _verdict(measured, console)


def _with_progress(
    wanted: list[Cell], home: Path, samples: Samples, console: Console
) -> dict[Cell, list[dict[str, Any]]]:
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )
    with progress:
        bar = progress.add_task("measuring", total=sum(cell.repeats for cell in wanted))

        def note(cell: Cell, _: int, sample: dict[str, Any]) -> None:
            found = sample.get("failed") or sample.get("unavailable") or spent(sample)
            progress.console.print(f"{described(cell)}: {found}", highlight=False)
            progress.advance(bar)

        return run(wanted, home, samples, note)


def described(cell: Cell) -> str:
    """Say in words what a cell is."""
    rows = f" {cell.rows:,}" if cell.rows else f" split {cell.seed}"
    cold = ", cold" if cell.cold else ""
    return (
        f"{cell.block}: {NAMES[cell.learner]}, {cell.table}{rows}, {cell.task.threads} threads, "
        f"{cell.task.sites} sites{cold}"
    )


def spent(sample: dict[str, Any]) -> str:
    """Say in words what a sample measured."""
    parts = [
        f"{part} {sample[part]['wall']:.2f} s ({sample[part]['cpu']:.2f} cpu)"
        for part in ("binning", "boosting")
        if sample[part]
    ]
    return f"{', '.join(parts)}, quality {sample['quality']:.5f}"


def _verdict(measured: list[Entry], console: Console) -> int:
    failed = [entry for entry in measured if entry.failed]
    for entry in failed:
        console.print(f"[red]{described(entry.cell)}: {entry.problem}")
    unequal = unequal_models(measured)
    for table in unequal:
        console.print(f"[red]{table}: our models differ between runs, the promise is broken")
    return 1 if failed or unequal else 0


def unequal_models(measured: list[Entry]) -> list[str]:
    """Return the tables on which ours, trained alike, did not give one and the same model."""
    models: dict[tuple[Any, ...], set[str]] = {}
    for entry in measured:
        cell = entry.cell
        key = (cell.table, cell.rows, cell.seed, cell.task.trees, cell.task.objective)
        for sample in entry.samples:
            if sample["model"]:
                models.setdefault(key, set()).add(sample["model"])
    return [f"{key[0]}, {key[1]:,} rows" for key, found in models.items() if len(found) > 1]


if __name__ == "__main__":
    sys.exit(main())

"""Measure, and write results.json and the tables of README.md."""

from __future__ import annotations

import argparse
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.markdown import Markdown
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.federation import goals as federation_goals
from benchmarks.federation import plan as federation_plan
from benchmarks.goals import GOALS
from benchmarks.page import NAMES, fill, tables
from benchmarks.plan import BLOCKS, Cell, cells
from benchmarks.privacy import goals as privacy_goals
from benchmarks.privacy import plan as privacy_plan
from benchmarks.privacy import results as measured_parts
from benchmarks.privacy.pages import fill_pages
from benchmarks.privacy.plan import Measurement
from benchmarks.privacy.results import Part
from benchmarks.results import Entry, commit, document, entries, machine, write
from benchmarks.runner import ROOT, Samples, in_turn, run
from benchmarks.warehouse import goals as warehouse_goals
from benchmarks.warehouse import plan as warehouse_plan

if TYPE_CHECKING:
    from benchmarks.runner import Planned

HERE: Final = Path(__file__).resolve().parent
BUSY: Final = 0.5
"""Load of the machine above which figures are not worth keeping."""

MEASURED: Final = {
    "privacy": Part(privacy_plan.BLOCKS, privacy_goals.GOALS),
    "federation": Part(federation_plan.BLOCKS, federation_goals.GOALS),
    "warehouse": Part(warehouse_plan.BLOCKS, warehouse_goals.GOALS),
}
"""Parts that are made of measurements; the learners are cells."""

PARTS: Final = {"learners": BLOCKS, **{name: part.blocks for name, part in MEASURED.items()}}
"""Part of results.json and of the page -> its blocks. A part is measured whole, or not kept."""


def parsed(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    blocks = "\n".join(
        f"  {name:16} {what}" for part in PARTS.values() for name, what in part.items()
    )
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        epilog=f"blocks:\n{blocks}\n\nA narrowed run writes its results into --home alone. "
        "--learners, --rows, --trees and --repeats narrow the learners and leave the rest out.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    every = [block for part in PARTS.values() for block in part]
    parser.add_argument(
        "--part", choices=PARTS, help="this part alone; the others stay as they are"
    )
    parser.add_argument("--only", nargs="+", choices=every, metavar="BLOCK", help="these blocks")
    parser.add_argument("--learners", nargs="+", choices=NAMES, help="these learners")
    parser.add_argument("--rows", type=int, help="at most so many rows of a generated table")
    parser.add_argument("--trees", type=int, help="at most so many trees")
    parser.add_argument("--repeats", type=int, help="at most so many repeats of a cell")
    parser.add_argument("--resume", action="store_true", help="keep what an earlier run finished")
    parser.add_argument("--home", type=Path, default=ROOT / ".bench", help="tables and samples")
    parser.add_argument("--list", action="store_true", help="say what would run, and end")
    return parser.parse_args(arguments)


def chosen(options: argparse.Namespace) -> list[Planned]:
    """Return the cells and measurements that the command line asks for."""
    plan = cells(most_rows=options.rows, trees=options.trees, repeats=options.repeats)
    found: list[Planned] = [
        cell for cell in plan if not options.learners or cell.learner in options.learners
    ]
    if not any((options.learners, options.rows, options.trees, options.repeats)):
        found += privacy_plan.measurements()
        found += federation_plan.measurements()
        found += warehouse_plan.measurements()
    blocks = options.only or [
        block for part, names in PARTS.items() if options.part in {None, part} for block in names
    ]
    return [one for one in found if one.block in blocks]


def main(arguments: list[str] | None = None) -> int:
    """Run the plan; 1 when a cell failed or equal models were promised and differ."""
    options, console = parsed(arguments), Console()
    wanted = chosen(options)
    if options.list:
        for cell, repeat in in_turn(wanted):
            console.print(f"{described(cell)}, run {repeat + 1}", highlight=False)
        return 0
    before = machine()
    if (load := before["load"][0]) > BUSY:
        console.print(
            f"[yellow]load {load}: the machine is busy, times will not be worth keeping. End what "
            "runs beside this; `nice` quietens other terminals only after "
            "`sysctl kernel.sched_autogroup_enabled=0`"
        )
    began = datetime.now(UTC)
    samples = Samples(options.home / "samples.jsonl", commit(), resume=options.resume)
    try:
        found = _with_progress(wanted, options.home, samples, console)
    except KeyboardInterrupt:
        console.print("\ninterrupted; the same command with --resume goes on from here")
        return 130
    typed = sys.argv[1:] if arguments is None else arguments
    circumstances = (shlex.join(["python", "-m", "benchmarks", *typed]), began, before)
    measured = entries({cell: got for cell, got in found.items() if isinstance(cell, Cell)})
    others = {one: got for one, got in found.items() if isinstance(one, Measurement)}
    parts, texts = _drawn(others, circumstances)
    if measured:
        goals = [goal.state(measured) for goal in GOALS]
        parts["learners"] = document(measured, goals, *circumstances)
        texts["learners"] = tables(parts["learners"], measured)
    narrowed = any((options.only, options.learners, options.rows, options.trees, options.repeats))
    for part, text in texts.items():
        told = "**A narrowed run: sizes may not be those that the titles name.** " * narrowed
        console.print(Markdown(told + text))
        if not narrowed:
            fill(HERE / "README.md", part, text)
    if not narrowed and "privacy" in parts:
        fill_pages(parts["privacy"])
    write(parts, (options.home if narrowed else HERE) / "results.json")
    return max(_verdict(measured, console), _others_verdict(others, console))


def _with_progress(
    wanted: list[Planned], home: Path, samples: Samples, console: Console
) -> dict[Planned, list[dict[str, Any]]]:
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )
    with progress:
        bar = progress.add_task("measuring", total=sum(cell.repeats for cell in wanted))

        def note(cell: Planned, _: int, sample: dict[str, Any]) -> None:
            found = sample.get("failed") or sample.get("unavailable") or spent(sample)
            progress.console.print(f"{described(cell)}: {found}", highlight=False)
            progress.advance(bar)

        return run(wanted, home, samples, note)


def described(cell: Planned) -> str:
    """Say in words what a cell is."""
    if isinstance(cell, Measurement):
        return cell.block
    rows = f" {cell.rows:,}" if cell.rows else f" split {cell.seed}"
    cold = ", cold" if cell.cold else ""
    return (
        f"{cell.block}: {NAMES[cell.learner]}, {cell.table}{rows}, {cell.task.threads} threads, "
        f"{cell.task.sites} sites{cold}"
    )


def spent(sample: dict[str, Any]) -> str:
    """Say in words what a sample measured."""
    if "rows" in sample:
        return f"{sample['seconds']['wall']:.0f} s"
    parts = [
        f"{part} {sample[part]['wall']:.2f} s ({sample[part]['cpu']:.2f} cpu)"
        for part in ("binning", "boosting")
        if sample[part]
    ]
    return f"{', '.join(parts)}, quality {sample['quality']:.5f}"


def _drawn(
    others: measured_parts.Samples, circumstances: tuple[str, datetime, dict[str, Any]]
) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Return content and text of each part that was measured."""
    parts, texts = {}, {}
    for name, part in MEASURED.items():
        if taken := {one: got for one, got in others.items() if one.part == name}:
            parts[name] = measured_parts.document(part, taken, *circumstances)
            texts[name] = measured_parts.tables(parts[name])
    return parts, texts


def _verdict(measured: list[Entry], console: Console) -> int:
    failed = [entry for entry in measured if entry.failed]
    for entry in failed:
        console.print(f"[red]{described(entry.cell)}: {entry.problem}")
    unequal = unequal_models(measured)
    for table in unequal:
        console.print(f"[red]{table}: our models differ between runs, the promise is broken")
    return 1 if failed or unequal else 0


def _others_verdict(others: measured_parts.Samples, console: Console) -> int:
    for block, why in measured_parts.problems(others).items():
        console.print(f"[red]{block}: {why}")
    return int(any("failed" in taken[0] for taken in others.values()))


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

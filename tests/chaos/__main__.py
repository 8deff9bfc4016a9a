"""Kill random processes of real federations at random moments, and see that nothing is lost."""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.results import circumstances, machine, write
from tests.chaos.disturbance import Outcome, disturbed, leaving, returning
from tests.chaos.federation import Members, Processes
from tests.chaos.tables import federation

HOME: Final = Path(__file__).resolve().parents[2] / "benchmarks" / "chaos.json"
_Run = Callable[[Members, Path, int, float, int], Outcome]


def parsed() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--runs", type=int, default=200, help="in which everybody comes back")
    parser.add_argument("--leaving", type=int, default=50, help="in which some never come back")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**31))
    parser.add_argument(
        "--resume", action="store_true", help="go on after the runs of that seed in the results"
    )
    parser.add_argument("--results", type=Path, default=HOME, help="a JSON to put them into")
    return parser.parse_args()


def runs(
    title: str,
    run: _Run,
    members: Members,
    folder: Path,
    numbers: range,
    seed: int,
    keep: Callable[[Outcome], bool],
) -> None:
    """Disturb runs until ``keep`` has enough, or one is not what was promised.

    A run that was over before anybody left it for good is not counted, nor kept.
    """
    whole = disturbed(Processes(members, folder / "whole", 20.0, 0), [])
    seconds = whole.growing if run is leaving else whole.seconds
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=len(numbers))
        for number in range(numbers.start, numbers.start + 5 * len(numbers)):
            outcome = run(members, folder, number, seconds, seed)
            if outcome.fault or outcome.left or run is returning:
                bar.advance(task)
                if not keep(outcome):
                    break


def part(
    outcomes: list[dict[str, Any]], title: str, command: str, began: datetime
) -> dict[str, Any]:
    """Say in one document what came of the runs and where."""
    return {
        **circumstances(command, began, machine(), []),
        "what": title,
        "runs": len(outcomes),
        "kills": sum(outcome["kills"] for outcome in outcomes),
        "stopped": dict(Counter(outcome["stopped"] for outcome in outcomes)),
        "faults": sum(bool(outcome["fault"]) for outcome in outcomes),
        "outcomes": outcomes,
    }


def kept(results: Path, name: str, title: str) -> list[dict[str, Any]]:
    """Return the outcomes that ``results`` hold of the runs called ``title``."""
    if not results.exists():
        return []
    found = json.loads(results.read_text(encoding="utf-8")).get(name, {})
    return list(found["outcomes"]) if found.get("what") == title else []


def main() -> int:
    """Disturb runs, write what came of each as it ends; 1 when a run lost something."""
    options = parsed()
    folder, console = Path(mkdtemp(prefix="chaos")), Console()
    faults: list[Outcome] = []
    faulty = 0
    for name, count, sites, rows, trees, run in (
        ("returning", options.runs, 3, 240, 3, returning),
        ("leaving", options.leaving, 12, 360, 4, leaving),
    ):
        if not count:
            continue
        began = datetime.now(UTC)
        members, whole = federation(sites, rows, trees, folder / name)
        title = f"{sites} sites, {trees} trees, seed {options.seed}"
        outcomes = kept(options.results, name, title) if options.resume else []
        counts = f"--runs {options.runs} --leaving {options.leaving}"
        command = f"python -m tests.chaos {counts} --seed {options.seed}"

        def keep(outcome: Outcome) -> bool:
            """Write the outcome beside those before it; False when no other is to follow."""
            if name == "returning" and not outcome.fault and outcome.sha256 != whole.sha256:  # noqa: B023 - used in this turn
                outcome.fault = f"other bytes than {whole.sha256}"  # noqa: B023 - the same
            outcomes.append(outcome.document())  # noqa: B023 - the same
            found = part(outcomes, title, command, began)  # noqa: B023 - the same
            write({name: found}, options.results)  # noqa: B023 - the same
            if outcome.fault:
                faults.append(outcome)
            return not outcome.fault and len(outcomes) < count  # noqa: B023 - the same

        first = max((outcome["number"] + 1 for outcome in outcomes), default=0)
        if len(outcomes) < count:
            numbers = range(first, first + count - len(outcomes))
            runs(f"{name}: {title}", run, members, folder / name, numbers, options.seed, keep)
        said = part(outcomes, title, command, began)
        found = {key: said[key] for key in ("runs", "kills", "stopped", "faults")}
        faulty += said["faults"]
        console.print(f"{name}: {json.dumps(found)}", highlight=False)
    for outcome in faults:
        hit = "; ".join(map(str, outcome.blows))
        console.print(f"run {outcome.number}: {outcome.fault}\n  {hit}\n  left in {folder}")
    return int(faulty > 0)


if __name__ == "__main__":
    sys.exit(main())

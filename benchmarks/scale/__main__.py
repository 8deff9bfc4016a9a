"""Measure a federation of 500 sites on this machine, and write scale.json: make scale."""

from __future__ import annotations

import argparse
import importlib
import json
import shlex
import signal
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from benchmarks.results import circumstances, machine, write
from benchmarks.scale.goals import GOALS
from benchmarks.scale.limited import lines_of

HOME: Final = Path(__file__).resolve().parents[1] / "scale.json"
PARTS: Final = {
    "rounds": "a round of 10,000 bytes to each site and back, by number of sites; what the sites "
    "themselves take of the same two cores is in it, and beside it",
    "memory": "a level of 200 features, 255 bins, 32 nodes: gradient and hessian in 64 bits each, "
    "sent by stand-ins that compute nothing",
    "training": "a training with secure sums over all sites, and in one process: equal bytes",
}
SECONDS: Final = {"rounds": 150, "memory": 210, "training": 330}
"""Longest time of a part: 11.5 minutes in all."""

_PACKAGES: Final = ("grpcio", "protobuf", "cryptography", "numpy", "numba", "pyarrow")
_SMALL: Final[dict[str, dict[str, Any]]] = {
    "rounds": {"counts": [2, 4], "a_process": 4, "rounds": 5, "warm_up": 1},
    "memory": {"counts": [4], "features": 20, "nodes": 4, "a_process": 4},
    "training": {"counts": [10], "rows": 600, "trees": 1, "depth": 2, "a_process": 5},
}
"""What --small measures: that everything runs, and no figure worth keeping."""


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="these parts")
    parser.add_argument("--small", action="store_true", help="few sites: see that it runs")
    parser.add_argument("--sites", type=int, help="at most so many sites")
    parser.add_argument("--seconds", type=float, help="end each part after so many seconds")
    parser.add_argument("--results", type=Path, default=HOME, help="a JSON to put them into")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def measure_here(options: argparse.Namespace) -> None:
    """Be the coordinator of one part, and print each row as it is measured."""
    module = importlib.import_module(f"benchmarks.scale.{options.part}")
    chosen = dict(_SMALL[options.part]) if options.small else {}
    if options.sites:
        counts = [count for count in module.COUNTS if count < options.sites]
        chosen["counts"] = [*counts, options.sites]
    for row in module.measure(**chosen):
        sys.stdout.write(json.dumps(row) + "\n")
        sys.stdout.flush()


def measured(part: str, options: argparse.Namespace) -> dict[str, Any]:
    """Measure ``part`` in a fresh process, which is the coordinator and nothing else."""
    command = [sys.executable, "-m", "benchmarks.scale", "--part", part]
    command += ["--small"] * options.small
    command += ["--sites", str(options.sites)] if options.sites else []
    seconds = options.seconds or SECONDS[part]
    lines, problem = lines_of(command, seconds)
    rows = [json.loads(line) for line in lines]
    # A run of other sizes has no figure that a goal is about.
    sized = not options.small and not options.sites
    goals = [goal.state(rows) for goal in GOALS[part]] if sized else []
    return {"problem": problem, "goals": goals, "rows": rows}


def main(arguments: list[str] | None = None) -> int:
    """Measure; 1 when a goal is missed, or a part did not come to its end."""
    options = parsed(arguments)
    if options.part:
        measure_here(options)
        return 0
    missed, versions = False, {name: version(name) for name in _PACKAGES}
    typed = sys.argv[1:] if arguments is None else arguments
    command = shlex.join(["python", "-m", "benchmarks.scale", *map(str, typed)])
    for part in options.only:
        before, began = machine(), datetime.now(UTC)
        sys.stderr.write(f"{part}: {PARTS[part]}\n")
        found = measured(part, options)
        missed |= bool(found["problem"])
        missed |= any(goal["verdict"] in {"missed", "not measured"} for goal in found["goals"])
        around = circumstances(command, began, before, [{"version": versions}])
        write({part: {"what": PARTS[part], **around, **found}}, options.results)
        told = [{k: v for k, v in row.items() if k != "samples_ms"} for row in found["rows"]]
        sys.stdout.write(json.dumps({part: {**found, "rows": told}}, indent=1) + "\n")
    return int(missed)


def _end(_signal: int, _frame: object) -> None:
    raise SystemExit("ended from outside")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)
    sys.exit(main())

"""Measure a federation of 500 sites on this machine, and write scale.json: make scale."""

from __future__ import annotations

import argparse
import importlib
import json
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from benchmarks.results import circumstances, machine, write
from benchmarks.scale.goals import GOALS

ROOT: Final = Path(__file__).resolve().parents[2]
HOME: Final = ROOT / "benchmarks" / "scale.json"
PARTS: Final = {
    "rounds": "a round of 10,000 bytes to each site and back, by number of sites",
    "memory": "a level of 200 features, 255 bins, 32 nodes: gradient and hessian in 64 bits each, "
    "sent by stand-ins that compute nothing",
    "training": "a training with secure sums over all sites, and in one process: equal bytes",
}
_PACKAGES: Final = ("grpcio", "protobuf", "cryptography", "numpy", "numba", "pyarrow")
_PART_SECONDS: Final = 3_600
_SMALL: Final[dict[str, dict[str, Any]]] = {
    "rounds": {"counts": [2, 4], "a_process": 4, "rounds": 5, "warm_up": 1},
    "memory": {"sites": 4, "features": 20, "nodes": 4, "a_process": 4},
    "training": {"sites": 10, "rows": 600, "trees": 1, "depth": 2, "a_process": 5},
}
"""What --small measures: that everything runs, and no figure worth keeping."""


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="these parts")
    parser.add_argument("--small", action="store_true", help="few sites: see that it runs")
    parser.add_argument("--results", type=Path, default=HOME, help="a JSON to put them into")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def measured(part: str, *, small: bool) -> list[dict[str, Any]]:
    """Measure ``part`` in a fresh process, which is the coordinator and nothing else."""
    command = [sys.executable, "-m", "benchmarks.scale", "--part", part, *["--small"] * small]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, cwd=ROOT, timeout=_PART_SECONDS, check=False
    )
    if done.returncode:
        raise SystemExit(f"{part} failed, see above")
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows


def main(arguments: list[str] | None = None) -> int:
    """Measure; 1 when a goal is missed."""
    options = parsed(arguments)
    if options.part:
        module = importlib.import_module(f"benchmarks.scale.{options.part}")
        chosen = _SMALL[options.part] if options.small else {}
        sys.stdout.write(json.dumps(module.measure(**chosen)))
        return 0
    missed, versions = False, {name: version(name) for name in _PACKAGES}
    for part in options.only:
        before, began = machine(), datetime.now(UTC)
        rows = measured(part, small=options.small)
        typed = sys.argv[1:] if arguments is None else arguments
        command = shlex.join(["python", "-m", "benchmarks.scale", *map(str, typed)])
        # A small run has no figure that a goal is about.
        goals = [] if options.small else [goal.state(rows) for goal in GOALS.get(part, ())]
        missed |= any(goal["verdict"] == "missed" for goal in goals)
        content = {
            "what": PARTS[part],
            **circumstances(command, began, before, [{"version": versions}]),
            "goals": goals,
            "rows": rows,
        }
        write({part: content}, options.results)
        sys.stdout.write(json.dumps({part: rows, "goals": goals}, indent=1) + "\n")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())

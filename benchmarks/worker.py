"""One cell in a process of its own: JSON on standard input, JSON as the last line of the output."""

from __future__ import annotations

import importlib
import json
import os
import sys
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.learners import Fit, Task, UnavailableError
from benchmarks.measuring import Seconds

_WARM_UP_ROWS = 2_000


def measure(order: dict[str, Any]) -> dict[str, Any]:
    """Train once as ``order`` says; return the figures, or {"unavailable": why}.

    Warm: a small training comes first, so that libraries are loaded and kernels linked. Cold:
    the time to import the learner is measured too, and its first training is the one that counts.
    """
    task, home = Task(**order["task"]), Path(order["home"])
    try:
        began = Seconds.here()
        fit = importlib.import_module(f"benchmarks.learners.{order['learner']}").fit
        importing = Seconds.here().since(began)
        table = table_of(order["table"], order["rows"], order["seed"], home)
        if not order["cold"]:
            small = table_of("mixed", _WARM_UP_ROWS, 0, home)
            fit(small, Task(2, task.threads, task.sites))
        done: Fit = fit(table, task)
    except UnavailableError as error:
        return {"unavailable": str(error)}
    except ImportError as error:
        return {"unavailable": f"{error}: run `make bench-peers`"}
    return {
        "version": {name: version(name) for name in order["packages"]},
        "importing": asdict(importing),
        **asdict(done),
    }


def table_of(name: str, rows: int, seed: int, home: Path) -> Any:
    """Return the table of that name; real ones have the rows they have."""
    from benchmarks.datasets import SHAPES, generated  # noqa: PLC0415 - a cold start pays its own

    if name in SHAPES:
        return generated(home, name, rows, seed)
    from benchmarks import real_data  # noqa: PLC0415 - pandas is not in every environment

    return real_data.demand() if name == "demand" else real_data.propensity(name, seed)


if __name__ == "__main__":
    print(json.dumps(measure(json.load(sys.stdin))), flush=True)
    # A peer's native threads may outlive their work; nothing is left to write.
    os._exit(0)

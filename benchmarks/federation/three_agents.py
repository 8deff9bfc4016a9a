"""Training between three processes, beside XGBoost's plugin on the same rows in the same run."""

from __future__ import annotations

import itertools
import os
import statistics
import time
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks.datasets import generated
from benchmarks.federation.agent import warm_up
from benchmarks.federation.loopback import (
    ROOT,
    all_connected,
    federation,
    processes,
    processor_seconds,
)
from benchmarks.learners import Task, UnavailableError, quality
from benchmarks.learners.ours import manifest, predictions
from benchmarks.plan import Cell
from benchmarks.runner import measure as measured_cell
from fed_audience.federation import train

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from fed_audience.federation import TrainingResult

PARTS: Final = ("binning", "boosting")
SITES: Final = ("s0", "s1", "s2")
TABLES: Final = ROOT / ".bench"


def measure(
    rows: int = 300_000, trees: int = 100, repeats: int = 3, tables: Path = TABLES
) -> list[dict[str, Any]]:
    """Train in turn with each; return a row for each, with the medians."""
    ours: list[dict[str, Any]] = []
    theirs: list[dict[str, Any]] = []
    task = Task(trees, threads=1, sites=3)
    peer = Cell("federated", "xgboost_federated", "mixed", rows, replace(task, threads=2))
    with agents(rows, tables) as train_once:
        for repeat in range(repeats):
            ours.append(train_once(task, f"run {repeat}"))
            sample = measured_cell(peer, tables)
            if why := sample.get("unavailable") or sample.get("failed"):
                raise UnavailableError(why)
            theirs.append(
                {
                    "seconds": sum(sample[part]["wall"] for part in PARTS),
                    "processor_s": sum(sample[part]["cpu"] for part in PARTS),
                    "auc": sample["quality"],
                }
            )
    if len({one["model"] for one in ours}) > 1:
        raise SystemExit("our models differ between runs")
    return [_row("fed-audience", ours), _row("XGBoost federated", theirs)]


@contextmanager
def agents(
    rows: int, tables: Path, before: Callable[[str], AbstractContextManager[str]] = nullcontext
) -> Iterator[Any]:
    """Start three agents that hold their rows; yields what trains once and returns the figures.

    ``before``: what the agents reach the coordinator's address through.
    """
    table = generated(tables, "mixed", rows, 1)
    warm_up(tables)
    borders = np.linspace(0, rows, len(SITES) + 1).astype(int).tolist()
    with ExitStack() as stack:
        folder, transport = stack.enter_context(federation(SITES))
        address = stack.enter_context(before(transport.address))
        orders = [
            {
                "address": address,
                "home": str(folder / site),
                "tables": str(tables),
                "rows": rows,
                "start": start,
                "stop": stop,
            }
            for site, (start, stop) in zip(SITES, itertools.pairwise(borders), strict=True)
        ]
        numbers = stack.enter_context(processes("benchmarks.federation.agent", orders))
        numbers.append(os.getpid())
        all_connected(transport, SITES)

        def train_once(task: Task, run_id: str) -> dict[str, Any]:
            run = replace(manifest(table, task, SITES), run_id=run_id)
            processor, began = processor_seconds(numbers), time.perf_counter()
            result: TrainingResult = train(transport, run)
            seconds, spent = time.perf_counter() - began, processor_seconds(numbers) - processor
            if not result.protection.secure:
                raise SystemExit("the sums were not masked")
            return {
                "seconds": seconds,
                "processor_s": spent,
                "rounds": result.rounds,
                "bytes_up_per_site": max(result.bytes_up.values()),
                "model": result.sha256,
                "auc": quality(
                    table, task, lambda start, stop: predictions(result, table, task, start, stop)
                ),
            }

        yield train_once


def _row(who: str, samples: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "who": who,
        "seconds": round(statistics.median(one["seconds"] for one in samples), 2),
        "fastest": round(min(one["seconds"] for one in samples), 2),
        "slowest": round(max(one["seconds"] for one in samples), 2),
        "processor_s": round(statistics.median(one["processor_s"] for one in samples), 2),
        **{
            name: samples[0][name]
            for name in ("rounds", "bytes_up_per_site", "auc")
            if name in samples[0]
        },
    }

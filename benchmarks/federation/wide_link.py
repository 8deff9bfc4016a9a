"""The same training over a long link: what the round trips cost."""

from __future__ import annotations

import statistics
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.federation.long_link import LongLink, late_ms
from benchmarks.federation.three_agents import TABLES, agents
from benchmarks.learners import Task

if TYPE_CHECKING:
    from collections.abc import Sequence


def measure(
    rows: int = 300_000,
    trees: int = 100,
    round_trip_ms: int = 50,
    repeats: int = 3,
    tables: Path = TABLES,
) -> list[dict[str, Any]]:
    """Train in turn over no distance and over the link, whole; the models must be equal.

    Returns a row for each, with the medians.
    """
    link, task = LongLink.of(round_trip_ms / 1_000), Task(trees, threads=1, sites=3)
    near: list[dict[str, Any]] = []
    far: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="fed-audience-bench-") as folder:
        told = Path(folder) / "late.json"
        with (
            agents(rows, tables) as train_near,
            agents(rows, tables, partial(link.before, told=told)) as train_far,
        ):
            for repeat in range(repeats):
                near.append(train_near(task, f"near {repeat}"))
                far.append(train_far(task, f"far {repeat}"))
        late = late_ms(told)
    if len({sample["model"] for sample in (*near, *far)}) > 1:
        raise SystemExit("the models differ with the length of the link")
    idle = {"echo_ms": link.echo_ms, "echo_uncorrected_ms": link.uncorrected_ms}
    return [_row(0, near), {**_row(round_trip_ms, far), **idle, **late}]


def _row(milliseconds: int, samples: Sequence[dict[str, Any]]) -> dict[str, Any]:
    rounds = samples[0]["rounds"]
    return {
        "round_trip_ms": milliseconds,
        "seconds": round(statistics.median(sample["seconds"] for sample in samples), 2),
        "samples_s": [round(sample["seconds"], 2) for sample in samples],
        "processor_s": round(statistics.median(one["processor_s"] for one in samples), 2),
        "rounds": rounds,
        "trips_alone_s": round(rounds * milliseconds / 1_000, 2),
        "bytes_up_per_site": samples[0]["bytes_up_per_site"],
    }

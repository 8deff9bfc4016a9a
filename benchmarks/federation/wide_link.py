"""The same training over a long link: what the round trips cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.federation.three_agents import TABLES, agents
from benchmarks.learners import Task

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def measure(
    rows: int = 300_000,
    trees: int = 100,
    round_trips_ms: Sequence[int] = (0, 50),
    tables: Path = TABLES,
) -> list[dict[str, Any]]:
    """Train once with each round trip; return a row for each. The models must be equal."""
    found = []
    for milliseconds in round_trips_ms:
        with agents(rows, tables, milliseconds / 1_000) as train_once:
            sample = train_once(Task(trees, threads=1, sites=3), "run")
        found.append((milliseconds, sample))
    if len({sample["model"] for _, sample in found}) > 1:
        raise SystemExit("the models differ with the length of the link")
    return [
        {
            "round_trip_ms": milliseconds,
            "seconds": round(sample["seconds"], 2),
            "processor_s": round(sample["processor_s"], 2),
            "rounds": sample["rounds"],
            "trips_alone_s": round(sample["rounds"] * milliseconds / 1_000, 2),
            "bytes_up_per_site": sample["bytes_up_per_site"],
        }
        for milliseconds, sample in found
    ]

"""results.json: part by part the machine, the versions, every sample and the figures.

Each part says when, where and from which commit it was measured: one can be measured anew alone.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchmarks.plan import Cell

PARTS: Final = ("importing", "binning", "boosting")


@dataclass(frozen=True, slots=True)
class Entry:
    """A cell and what came out of it.

    ``problem``: why samples are missing; ``failed``: and that is a fault, not an absence.
    """

    cell: Cell
    samples: tuple[dict[str, Any], ...]
    problem: str = ""
    failed: bool = False

    def median(self, *parts: str, clock: str = "wall") -> float | None:
        """Median over the samples of the seconds of ``parts`` together; None without samples.

        A learner that does not bin apart from boosting has no seconds of either alone.
        """
        apart = not self.samples or self.samples[0]["binning"] is not None
        if not self.samples or (not apart and "binning" not in parts and "boosting" in parts):
            return None
        return statistics.median(
            sum(float(sample[part][clock]) for part in parts if sample[part])
            for sample in self.samples
        )

    def middle(self, name: str) -> float | None:
        """Median of a plain figure of the samples."""
        return statistics.median(float(one[name]) for one in self.samples) if self.samples else None


def entries(found: dict[Cell, list[dict[str, Any]]]) -> list[Entry]:
    """Sort the samples of each cell into the good ones and the reason why there are none."""
    sorted_out = []
    for cell, samples in found.items():
        good = tuple(one for one in samples if "boosting" in one)
        failed = [one["failed"] for one in samples if "failed" in one]
        absent = [one["unavailable"] for one in samples if "unavailable" in one]
        problem = next(iter([*failed, *absent]), "")
        sorted_out.append(Entry(cell, good, problem, failed=bool(failed)))
    return sorted_out


def document(
    found: list[Entry],
    goals: list[dict[str, Any]],
    command: str,
    began: datetime,
    before: dict[str, Any],
) -> dict[str, Any]:
    """Return what results.json holds of the learners; ``before``: the machine before the run."""
    return {
        **circumstances(command, began, before, [one for entry in found for one in entry.samples]),
        "goals": goals,
        "cells": [
            {
                **asdict(entry.cell),
                "problem": entry.problem,
                "median_seconds": {
                    part: entry.median(part)
                    for part in PARTS
                    if entry.samples[:1] and entry.samples[0][part] is not None
                },
                "samples": [
                    {name: value for name, value in sample.items() if name != "version"}
                    for sample in entry.samples
                ],
            }
            for entry in found
        ],
    }


def circumstances(
    command: str, began: datetime, before: dict[str, Any], samples: Iterable[dict[str, Any]]
) -> dict[str, Any]:
    """Return what a part's figures hold under: command, time, commit, machine and versions."""
    versions = {"python": platform.python_version()}
    for sample in samples:
        versions |= sample.get("version", {})
    return {
        "command": command,
        "began": began.isoformat(timespec="seconds"),
        "ended": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "machine": before,
        "versions": versions,
    }


def write(parts: dict[str, dict[str, Any]], path: Path) -> None:
    """Put ``parts`` into the JSON at ``path``, whole or not at all; other parts stay."""
    earlier = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    content = {**earlier, **parts}
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    unfinished.replace(path)


def machine() -> dict[str, Any]:
    """Describe this machine: processor, cores, memory, system, and how busy it is."""
    return {
        "cpu": _field("/proc/cpuinfo", "model name") or platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "load": [round(load, 2) for load in os.getloadavg()],
    }


def _field(path: str, name: str) -> str:
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")


def commit() -> str:
    """Name the commit that is measured; empty outside a checkout."""
    git = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""

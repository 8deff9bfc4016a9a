"""From the hook that queues a training to its claim: dbt and a loop that waits, on one file.

The clock starts with the transaction in which dbt builds the table and queues; while dbt runs it
holds the file, so its end is part of the figure.
"""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.warehouse.build import AS_OF, brand_project, fill
from fed_audience.jobs.waiting import POLL_SECONDS
from fed_audience.warehouse.dbt import run_dbt

if TYPE_CHECKING:
    from collections.abc import Sequence

MODEL: Final = "fed_training_repurchase"
VARS: Final = {"fed_audience__as_of": AS_OF, "fed_audience__cadence_days": 0}
FEDERATION: Final = """\
name: latency
sites: [{name: brand, project: project, profiles: project}]
models: [{name: repurchase}]
"""
_ROOT: Final = Path(__file__).resolve().parents[2]


def measure(claims: int = 20, customers: int = 1_000) -> list[dict[str, Any]]:
    """Let dbt queue ``claims`` requests, one build after another; seconds until each is claimed."""
    with tempfile.TemporaryDirectory(prefix="latency-") as name:
        folder = Path(name)
        project = brand_project(folder)
        (folder / "federation.yml").write_text(FEDERATION, encoding="utf-8")
        fill(folder / "brand.duckdb", customers, 10 * customers, 3 * customers)
        for command in (["seed"], ["run", "-s", f"+{MODEL}"]):
            run_dbt(project, command, profiles_dir=project, vars=VARS)
        seconds = _claimed(project, folder / "federation.yml", claims)
    return [
        {
            "engine": "duckdb",
            "poll_seconds": POLL_SECONDS,
            "claims": claims,
            "median_seconds": round(statistics.median(seconds), 2),
            "worst_seconds": round(max(seconds), 2),
            "beyond_poll_seconds": round(max(seconds) - POLL_SECONDS, 2),
        }
    ]


def _claimed(project: Path, config: Path, claims: int) -> Sequence[float]:
    # One more than is measured: the first build above has queued one.
    order = json.dumps({"config": str(config), "claims": claims + 1})
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.warehouse.claimer", order],
        cwd=_ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as claimer:
        try:
            _next(claimer)
            return [_once(project, claimer) for _ in range(claims)]
        finally:
            claimer.kill()


def _once(project: Path, claimer: subprocess.Popen[str]) -> float:
    """Queue by a build that begins anywhere in the interval; return the seconds until the claim."""
    time.sleep(random.uniform(0, POLL_SECONDS))  # noqa: S311 - no secret
    run_dbt(project, ["run", "-s", MODEL], profiles_dir=project, vars=VARS)
    told = _next(claimer)
    queued, claimed = (datetime.fromisoformat(told[key]) for key in ("queued", "claimed"))
    return (claimed - queued).total_seconds()


def _next(claimer: subprocess.Popen[str]) -> dict[str, str]:
    assert claimer.stdout is not None  # noqa: S101 - it is a pipe
    line = claimer.stdout.readline()
    if not line:
        raise SystemExit(f"the claiming process ended with {claimer.wait()}")
    told: dict[str, str] = json.loads(line)
    return told

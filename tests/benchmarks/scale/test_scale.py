"""Many sites on one machine: that what is measured runs, and its figures."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks.scale.__main__ import main
from benchmarks.scale.goals import GOALS
from benchmarks.scale.limited import lines_of
from tests.federation.grpc.network import until


def values(part: str, rows: list[dict[str, Any]]) -> list[Any]:
    return [goal.state(rows)["value"] for goal in GOALS[part]]


def test_the_cost_of_a_site_is_the_slope_and_a_bend_shows() -> None:
    line = [{"sites": n, "median_ms": 2 + n / 2} for n in (10, 50, 200, 500)]
    assert values("rounds", line) == pytest.approx([0.5, 1.0])
    bent = [*line[:-1], {"sites": 500, "median_ms": 1_000.0}]
    assert values("rounds", bent)[1] > 1.2
    assert values("rounds", line[:1]) == [None, None]


def test_the_peak_is_held_to_a_gibibyte_and_the_training_to_five_minutes() -> None:
    peak, took = GOALS["memory"][0], GOALS["training"][0]
    rows: list[dict[str, Any]] = [
        {"sites": 100, "peak_mib": 500},
        {"sites": 500, "peak_mib": 1_024.2},
    ]
    assert peak.state(rows)["verdict"] == "met"
    assert peak.state([{"sites": 500, "peak_mib": 1_030.0}])["verdict"] == "missed"
    assert took.state([{"sites": 500, "seconds": 301.0}])["verdict"] == "missed"
    for goal in (peak, took):
        assert goal.state([{"sites": 100, "peak_mib": 1, "seconds": 1}])["value"] is None


@pytest.mark.parametrize("part", ["memory", "training"])
def test_a_few_sites_are_measured_as_many_are(tmp_path: Path, part: str) -> None:
    results = tmp_path / "scale.json"
    assert main(["--small", "--only", part, "--results", str(results)]) == 0
    found = json.loads(results.read_text(encoding="utf-8"))[part]
    (row,) = found["rows"]
    assert found["problem"] == ""
    if part == "memory":
        assert row["peak_mib"] >= row["idle_mib"] > 0
        assert row["bytes_in_all"] == 4 * row["bytes_a_site"] == 4 * 20 * 255 * 4 * 2 * 8
    else:
        assert row["sites"] == 10
        assert row["model"] == row["in_process"]
        assert row["rows"] == 600


def test_a_part_that_takes_too_long_keeps_what_it_measured_and_leaves_no_process() -> None:
    endless = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print(child.pid, flush=True)\n"
        "sys.stdout.write('half a line'); sys.stdout.flush()\n"
        "time.sleep(600)\n"
    )
    began = time.monotonic()
    (child,), why = lines_of([sys.executable, "-c", endless], 3)
    assert why == "ended after 3 seconds"
    assert time.monotonic() - began < 300
    until(lambda: not _runs(int(child)), 60)


def test_a_part_that_fails_says_so_beside_what_it_measured() -> None:
    lines, why = lines_of([sys.executable, "-c", "print(1, flush=True); raise SystemExit(3)"], 60)
    assert (lines, why) == (["1\n"], "failed with exit code 3, see above")


def _runs(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2]
    except FileNotFoundError:
        return False
    return state.split()[0] != "Z"

"""Many sites on one machine: that what is measured runs, and its figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.scale.__main__ import main
from benchmarks.scale.goals import GOALS


def values(part: str, rows: list[dict[str, Any]]) -> list[Any]:
    return [goal.state(rows)["value"] for goal in GOALS[part]]


def test_the_cost_of_a_site_is_the_slope_and_a_bend_shows() -> None:
    line = [{"sites": n, "median_ms": 2 + n / 2} for n in (10, 50, 200, 500)]
    assert values("rounds", line) == pytest.approx([0.5, 1.0])
    bent = [*line[:-1], {"sites": 500, "median_ms": 1_000.0}]
    assert values("rounds", bent)[1] > 1.2
    assert values("rounds", line[:1]) == [None, None]


def test_the_peak_is_held_to_a_gibibyte() -> None:
    (goal,) = GOALS["memory"]
    assert goal.state([{"peak_mib": 1_024.2}])["verdict"] == "met"
    assert goal.state([{"peak_mib": 1_030.0}])["verdict"] == "missed"


@pytest.mark.parametrize("part", ["memory", "training"])
def test_a_few_sites_are_measured_as_many_are(tmp_path: Path, part: str) -> None:
    results = tmp_path / "scale.json"
    assert main(["--small", "--only", part, "--results", str(results)]) == 0
    (row,) = json.loads(results.read_text(encoding="utf-8"))[part]["rows"]
    if part == "memory":
        assert row["peak_mib"] >= row["idle_mib"] > 0
        assert row["bytes_in_all"] == 4 * row["bytes_a_site"] == 4 * 20 * 255 * 4 * 2 * 8
    else:
        assert row["sites"] == 10
        assert row["model"] == row["in_process"]

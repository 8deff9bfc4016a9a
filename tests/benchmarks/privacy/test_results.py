"""The privacy part: figures from rows, problems told, and every goal has rows to come from."""

from __future__ import annotations

import importlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from benchmarks.privacy.goals import GOALS, Found
from benchmarks.privacy.plan import BLOCKS, Measurement, measurements
from benchmarks.privacy.results import Part, document, rows_table, tables
from benchmarks.results import machine
from benchmarks.runner import measure

UPLOAD = "upload of a site for a level of 32 nodes, 30 features, 64 bins, MiB"


def state(what: str, found: Found) -> dict[str, Any]:
    return next(goal.state(found) for goal in GOALS if goal.what == what)


def test_nothing_measured_is_no_figure() -> None:
    assert {goal.state({})["verdict"] for goal in GOALS} == {"not measured"}


def test_goals_take_the_worst_of_their_rows_and_no_other() -> None:
    level = {"nodes": 32, "bytes": 2**18}
    counts = {"nodes": 0, "bytes": 2**22}
    assert state(UPLOAD, {"upload": [counts, level]})["value"] == 0.25
    assert state(UPLOAD, {"upload": [level, level | {"bytes": 2**20}]})["verdict"] == "missed"


def test_rows_that_lack_a_figure_leave_its_cell_empty() -> None:
    drawn = rows_table([{"sites": 3, "mask": 1.25}, {"sites": 10_000, "open_3_dropped": 7.0}])
    assert drawn.splitlines()[0] == "| sites | mask | open 3 dropped |"
    assert drawn.splitlines()[2:] == ["| 3 | 1.25 |  |", "| 10,000 |  | 7 |"]


def test_the_page_tells_figures_and_why_some_are_missing() -> None:
    upload, absent = Measurement("upload", "upload"), Measurement("membership", "membership")
    rows = [{"sent": "a level", "nodes": 32, "bytes": 2**18}]
    samples: dict[Measurement, list[dict[str, Any]]] = {
        upload: [{"rows": rows, "seconds": {"wall": 2.0, "cpu": 1.0}, "version": {"numpy": "2"}}],
        absent: [{"unavailable": "adult is not in the data folder"}],
    }
    content = document(
        Part(BLOCKS, GOALS), samples, "python -m benchmarks", datetime.now(UTC), machine()
    )
    text = tables(content)
    assert f"| {UPLOAD} | 0.50 | - | 0.25 | met |" in text
    assert "| a level | 32 | 262,144 |" in text
    assert "adult is not in the data folder" in text
    assert content["measurements"][0]["rows"] == rows
    assert content["versions"]["numpy"] == "2"


@pytest.mark.parametrize("one", measurements(), ids=lambda one: one.block)
def test_every_block_is_a_module_that_can_be_run(one: Measurement) -> None:
    module = importlib.import_module(f"benchmarks.privacy.{one.module}")
    assert callable(module.measure)
    assert BLOCKS[one.block]


def test_a_measurement_has_a_process_of_its_own(tmp_path: Path) -> None:
    small = Measurement("audit_entry", "audit_entry", (("entries", 20),))
    sample = measure(small, tmp_path)
    assert sample["rows"][0]["entries"] == 23
    assert sample["seconds"]["cpu"] > 0
    assert set(sample["version"]) == {"fed-audience", "numpy", "cryptography", "grpcio"}


def test_a_measurement_that_breaks_is_a_failure(tmp_path: Path) -> None:
    broken = Measurement("audit_entry", "audit_entry", (("entries", "many"),))
    assert measure(broken, tmp_path)["failed"].startswith("exit 1: TypeError")

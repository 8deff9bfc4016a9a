"""The warehouse part at small size: every block runs, and its goals find their figures."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from benchmarks.privacy.plan import Measurement
from benchmarks.warehouse import codes, scoring
from benchmarks.warehouse.goals import GOALS
from benchmarks.warehouse.plan import BLOCKS, measurements

ENGINES = ("duckdb", "postgres")


@pytest.mark.parametrize("one", measurements(), ids=lambda one: one.block)
def test_every_block_is_a_module_that_can_be_run(one: Measurement) -> None:
    module = importlib.import_module(f"benchmarks.{one.part}.{one.module}")
    assert callable(module.measure)
    assert BLOCKS[one.block]


def test_nothing_measured_is_no_figure() -> None:
    assert {goal.state({})["verdict"] for goal in GOALS} == {"not measured"}


def test_small_rows_give_every_figure_of_reading_and_scoring(postgres: Any) -> None:
    """The server is asked for first: without one the test is skipped, as its own would fail."""
    found = {
        "codes": codes.measure(rows=2_000, features=12, engines=ENGINES, repeats=1),
        "scoring": scoring.measure(rows=2_000, features=12, trees=3, engines=ENGINES, repeats=1),
    }
    for rows in found.values():
        assert [row["engine"] for row in rows] == list(ENGINES)
        assert all(row["seconds"] > 0 and row["peak_mb"] > 0 for row in rows)
    verdicts = {goal.what: goal.state(found)["verdict"] for goal in GOALS}
    assert [what for what, verdict in verdicts.items() if verdict == "not measured"] == [
        "dbt build, duckdb, seconds",
        "dbt build, duckdb, GiB",
        "hook to claim, duckdb, worst of 20, seconds beyond the poll interval",
    ]

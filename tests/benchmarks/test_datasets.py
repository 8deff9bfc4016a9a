"""Generated tables: the same numbers whatever their length, and as the learners expect them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.datasets import SHAPES, TEST_ROWS, generated
from benchmarks.learners.ours import arrow


@pytest.mark.parametrize("kind", ["mixed", "wide"])
def test_first_rows_do_not_depend_on_how_many_follow(kind: str, tmp_path: Path) -> None:
    few, many = generated(tmp_path, kind, 500), generated(tmp_path, kind, 51_000)
    assert np.array_equal(few.values(0, 700), many.values(0, 700), equal_nan=True)
    assert np.array_equal(few.labels(0, 700), many.labels(0, 700))


def test_rows_read_in_parts_are_the_rows_read_at_once(tmp_path: Path) -> None:
    table = generated(tmp_path, "mixed", 60_000)
    parts = [table.values(start, start + 30_000) for start in (0, 30_000, 60_000)]
    whole = table.values(0, 90_000)
    assert np.array_equal(np.hstack(parts), whole, equal_nan=True)
    assert np.array_equal(table.matrix(0, 90_000), whole.T, equal_nan=True)
    assert len(table.labels(0, table.rows + TEST_ROWS)) == 60_000 + TEST_ROWS


def test_another_seed_is_another_table(tmp_path: Path) -> None:
    one, other = generated(tmp_path, "mixed", 100), generated(tmp_path, "mixed", 100, seed=2)
    assert not np.array_equal(one.values(0, 100), other.values(0, 100), equal_nan=True)


def test_finished_table_is_read_and_not_made_again(tmp_path: Path) -> None:
    first = generated(tmp_path, "wide", 100)
    made = (first.folder / "values.f64").stat().st_mtime_ns
    assert (generated(tmp_path, "wide", 100).folder / "values.f64").stat().st_mtime_ns == made
    assert [path.name for path in tmp_path.iterdir()] == ["wide-100-1"]


def test_mixed_table_has_gaps_categories_and_both_classes(tmp_path: Path) -> None:
    table = generated(tmp_path, "mixed", 20_000)
    values = table.values(0, 20_000)
    gaps = np.isnan(values).mean(axis=1)
    assert gaps[:18].max() == 0
    assert np.allclose(gaps[18:24], np.linspace(0.05, 0.4, 6), atol=0.02)
    for feature in SHAPES["mixed"].categorical:
        assert set(np.unique(values[feature])) <= set(range(200))
    assert 0.1 < table.labels(0, 20_000).mean() < 0.2


def test_arrow_columns_hold_the_same_numbers(tmp_path: Path) -> None:
    table = generated(tmp_path, "mixed", 1_000)
    rows, values = arrow(table, 100, 300), table.values(100, 300)
    assert rows.column("f20").null_count == int(np.isnan(values[20]).sum()) > 0
    assert rows.column("f29").to_pylist() == values[29].astype(int).tolist()
    assert rows.column("key").to_pylist() == list(range(100, 300))
    assert rows.column("label").to_pylist() == table.labels(100, 300).astype(int).tolist()

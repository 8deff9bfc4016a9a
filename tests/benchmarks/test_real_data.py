"""Real tables: whole, their target apart, the split drawn by its seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import real_data
from benchmarks.learners import UnavailableError

PUBLISHED = {  # rows, share of positives, features
    "bank": (41_188, 0.1127, 19),
    "adult": (48_842, 0.2393, 13),
    "shoppers": (12_330, 0.1547, 17),
    "hillstrom": (64_000, 0.1468, 9),
}


@pytest.fixture
def data(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FED_AUDIENCE_TEST_DATA", str(shared_data))


@pytest.mark.usefixtures("data")
@pytest.mark.parametrize("name", PUBLISHED)
def test_tables_are_the_published_ones(name: str) -> None:
    table = real_data.propensity(name, 0)
    rows, positives, features = PUBLISHED[name]
    labels = table.labels(0, rows)
    assert table.rows + table.test_rows == rows
    assert table.test_rows == rows // 4
    assert labels.mean() == pytest.approx(positives, abs=0.0001)
    assert table.features == features


@pytest.mark.usefixtures("data")
def test_seed_draws_the_split_and_keeps_rows_together() -> None:
    one, other = real_data.propensity("shoppers", 0), real_data.propensity("shoppers", 1)
    rows = len(one.answers)

    def sorted_rows(table: real_data.Held) -> np.ndarray:
        whole = np.vstack([table.values(0, rows), table.labels(0, rows)])
        return whole[:, np.lexsort(whole)]

    assert not np.array_equal(one.labels(0, rows), other.labels(0, rows))
    assert np.array_equal(sorted_rows(one), sorted_rows(other), equal_nan=True)


@pytest.mark.usefixtures("data")
def test_demand_is_tested_on_later_weeks_only() -> None:
    table = real_data.demand()
    week = table.values(0, table.rows + table.test_rows)[0]
    assert week[: table.rows].max() == 117
    assert week[table.rows :].min() == 118
    assert table.labels(0, table.rows).min() > 0


def test_absent_file_is_said_to_be_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FED_AUDIENCE_TEST_DATA", str(tmp_path))
    with pytest.raises(UnavailableError, match="bank_additional_full"):
        real_data.propensity("bank", 0)

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fed_audience.audiences.baselines import quintiles, random_scores, rfm_scores
from fed_audience.errors import DataError

MANY = pa.array([f"c{n}" for n in range(4_000)])


def test_chance_depends_on_id_and_seed_only() -> None:
    scores = random_scores(MANY, seed=3)
    backwards = random_scores(pa.array(MANY.to_pylist()[::-1]), seed=3)
    assert np.array_equal(scores, backwards[::-1])
    assert not np.array_equal(scores, random_scores(MANY, seed=-3))


def test_chance_is_even() -> None:
    scores = random_scores(MANY, seed=0)
    counts, _ = np.histogram(scores, bins=10, range=(0.0, 1.0))
    assert counts.sum() == 4_000
    # Five standard deviations of a binomial count of 400.
    assert abs(counts - 400).max() < 5 * np.sqrt(400 * 0.9)
    assert np.unique(scores).size == 4_000


def test_ids_must_not_be_null() -> None:
    with pytest.raises(DataError, match="must not be null"):
        random_scores(pa.array(["a", None]), seed=1)


def test_fifths_of_ten_people_hold_two_each() -> None:
    assert quintiles(np.arange(10.0)).tolist() == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]


def test_equal_values_share_the_fifth_of_their_middle() -> None:
    assert quintiles(np.array([7.0, 7.0, 7.0])).tolist() == [3, 3, 3]
    assert quintiles(np.array([0.0, 0.0, 0.0, 0.0, 9.0])).tolist() == [3, 3, 3, 3, 5]


def test_nothing_known_is_the_lowest_fifth() -> None:
    assert quintiles(np.array([np.nan, 1.0, np.nan])).tolist() == [1, 3, 1]
    assert quintiles(np.full(3, np.nan)).tolist() == [1, 1, 1]
    assert quintiles(np.array([])).size == 0


def test_recent_frequent_and_rich_is_best_and_never_bought_is_worst() -> None:
    recency = np.array([1.0, 50.0, 100.0, 200.0, 400.0, np.nan])
    frequency = np.array([9.0, 7.0, 5.0, 3.0, 1.0, 0.0])
    monetary = np.array([900.0, 700.0, 500.0, 300.0, 100.0, np.nan])
    scores = rfm_scores(recency, frequency, monetary)
    assert scores.tolist() == sorted(scores.tolist(), reverse=True)
    assert (scores[0], scores[-1]) == (15.0, 3.0)


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=50))
def test_a_fifth_keeps_the_order_of_values(values: list[float]) -> None:
    fifths = quintiles(np.array(values))
    assert set(fifths) <= {1.0, 2.0, 3.0, 4.0, 5.0}
    order = np.argsort(values, kind="stable")
    assert (np.diff(fifths[order]) >= 0).all()


def test_columns_of_different_people_are_refused() -> None:
    with pytest.raises(DataError, match="2, 1 and 2 values"):
        rfm_scores(np.zeros(2), np.zeros(1), np.zeros(2))

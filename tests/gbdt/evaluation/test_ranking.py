"""AUC from rows: scikit-learn's number, DeLong's intervals."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from fed_audience.errors import DataError
from fed_audience.gbdt.evaluation.ranking import Interval, auc, auc_difference, auc_interval

Labels = NDArray[np.int64]
Scores = NDArray[np.float64]


def sample(seed: int, rows: int = 400, gap: float = 1.0) -> tuple[Labels, Scores, Scores]:
    """Labels, and two scores that know something of them and of each other."""
    draw = np.random.default_rng(seed)
    labels = (draw.random(rows) < 0.3).astype(np.int64)
    shared = draw.normal(size=rows) + gap * labels
    return labels, shared + draw.normal(size=rows), shared + draw.normal(size=rows)


def delong(labels: Labels, first: Scores, second: Scores) -> tuple[float, float]:
    """Difference of AUCs and its variance, from the definition: every pair of rows."""

    def kernel(scores: Scores) -> Scores:
        pairs = scores[labels == 1][:, None] - scores[labels == 0][None, :]
        return np.where(pairs > 0, 1.0, np.where(pairs == 0, 0.5, 0.0))

    psi = kernel(first) - kernel(second)
    rows, columns = psi.mean(axis=1), psi.mean(axis=0)
    variance = rows.var(ddof=1) / len(rows) + columns.var(ddof=1) / len(columns)
    return float(psi.mean()), float(variance)


@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(-3, 3)), min_size=2, max_size=60).filter(
        lambda rows: len({label for label, _ in rows}) == 2
    )
)
def test_auc_is_scikit_learns_with_ties_half(rows: list[tuple[int, int]]) -> None:
    labels, scores = zip(*rows, strict=True)
    assert auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)


@pytest.mark.parametrize("labels", [[], [0, 0], [1, 1, 1]])
def test_one_class_has_no_auc(labels: list[int]) -> None:
    scores = [0.5] * len(labels)
    assert auc(labels, scores) is None
    assert auc_interval(labels, scores) is None
    assert auc_difference(labels, scores, scores) is None


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("digits", [0, 1, 9])
def test_intervals_follow_delongs_definition(seed: int, digits: int) -> None:
    labels, first, second = sample(seed)
    first, second = first.round(digits), second.round(digits)
    estimate, variance = delong(labels, first, np.zeros_like(first))
    interval = auc_interval(labels, first)
    assert interval is not None
    assert interval.estimate == pytest.approx(estimate + 0.5, abs=1e-12)
    assert interval.standard_error == pytest.approx(math.sqrt(variance), rel=1e-9)
    assert interval.high - interval.estimate == pytest.approx(1.959964 * math.sqrt(variance))
    assert interval.estimate - interval.low == pytest.approx(1.959964 * math.sqrt(variance))

    estimate, variance = delong(labels, first, second)
    paired = auc_difference(labels, first, second)
    assert paired is not None
    assert paired.estimate == pytest.approx(estimate, abs=1e-12)
    assert paired.standard_error == pytest.approx(math.sqrt(variance), rel=1e-9)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    truth = 0.5 * (1.0 + math.erf(1.0 / math.sqrt(2.0) / math.sqrt(2.0) / math.sqrt(2.0)))
    hits = 0
    for seed in range(400):
        labels, scores, _ = sample(seed, rows=150)
        interval = auc_interval(labels, scores)
        assert interval is not None
        hits += interval.low <= truth <= interval.high
    assert 0.91 <= hits / 400 <= 0.98


def test_pairing_narrows_the_interval_of_a_difference() -> None:
    labels, first, second = sample(1)
    a, b = auc_interval(labels, first), auc_interval(labels, second)
    paired = auc_difference(labels, first, second)
    assert a
    assert b
    assert paired
    assert paired.standard_error < math.hypot(a.standard_error, b.standard_error)


def test_equal_rankings_differ_by_exactly_nothing() -> None:
    labels, scores, _ = sample(2)
    assert auc_difference(labels, scores, scores * 3.0 + 1.0) == Interval(0.0, 0.0, 0.0, 0.0)


def test_a_single_positive_says_nothing() -> None:
    interval = auc_interval([1, 0, 0], [3.0, 2.0, 1.0])
    assert interval is not None
    assert (interval.estimate, interval.low, interval.high) == (1.0, 0.0, 1.0)
    difference = auc_difference([1, 0, 0], [3.0, 2.0, 1.0], [1.0, 2.0, 3.0])
    assert difference is not None
    assert (difference.estimate, difference.low, difference.high) == (1.0, -1.0, 1.0)


def test_infinite_scores_rank_and_nan_is_refused() -> None:
    assert auc([0, 1, 1], [-math.inf, 0.0, math.inf]) == 1.0
    with pytest.raises(DataError, match="not a number"):
        auc([0, 1], [0.0, math.nan])
    with pytest.raises(DataError, match="differ in length"):
        auc([0, 1], [0.0])


def test_more_rows_narrow_the_interval() -> None:
    widths = []
    for rows in (200, 2_000, 20_000):
        labels, scores, _ = sample(3, rows)
        interval = auc_interval(labels, scores)
        assert interval is not None
        widths.append(interval.high - interval.low)
    assert all(wide > 2 * narrow for wide, narrow in pairwise(widths))

"""Metrics of a summed histogram agree with scikit-learn on the pooled scores."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

from fed_audience.errors import DataError
from fed_audience.gbdt.evaluation import (
    RAW_RANGE,
    SCORE_BINS,
    Metrics,
    auc_interval,
    lift_at,
    logloss,
    score_bin,
    score_edge,
    score_histogram,
    threshold_for,
)
from fed_audience.gbdt.objectives import objective_of
from fed_audience.gbdt.parameters import TrainingParameters

Labels = NDArray[np.int64]
Scores = NDArray[np.float64]


def scored(
    seed: int = 0, rows: int = 50_000, centre: float = -2.0, spread: float = 1.0
) -> tuple[Labels, Scores]:
    """Labels drawn from the probabilities that the scores say: perfectly calibrated."""
    draw = np.random.default_rng(seed)
    raw = centre + spread * draw.normal(size=rows)
    return (draw.random(rows) < 1 / (1 + np.exp(-raw))).astype(np.int64), raw


CASES = [
    {"centre": -2.0, "spread": 1.0},
    {"centre": 0.0, "spread": 2.0},
    {"centre": -5.0, "spread": 0.5},
    {"centre": -6.5, "spread": 1.0, "rows": 200_000},
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_auc_is_scikit_learns_within_the_stated_bound(case: dict[str, float]) -> None:
    labels, raw = scored(**case)  # type: ignore[arg-type]
    metrics = Metrics.from_histogram(score_histogram(labels, raw))
    assert metrics.auc is not None
    assert metrics.auc_error_bound is not None
    assert abs(metrics.auc - roc_auc_score(labels, raw)) <= metrics.auc_error_bound < 1e-4


@given(
    st.lists(st.tuples(st.integers(0, 1), st.floats(-20, 20)), min_size=2, max_size=50).filter(
        lambda rows: len({label for label, _ in rows}) == 2
    ),
    st.sampled_from([2, 8, 64, 4096]),
)
def test_the_bound_holds_however_coarse_the_cells(rows: list[tuple[int, float]], bins: int) -> None:
    labels, raw = zip(*rows, strict=True)
    metrics = Metrics.from_histogram(score_histogram(labels, raw, bins))
    assert metrics.auc is not None
    assert metrics.auc_error_bound is not None
    assert abs(metrics.auc - roc_auc_score(labels, raw)) <= metrics.auc_error_bound + 1e-12


@pytest.mark.parametrize("case", CASES, ids=str)
def test_other_metrics_are_scikit_learns(case: dict[str, float]) -> None:
    labels, raw = scored(**case)  # type: ignore[arg-type]
    histogram = score_histogram(labels, raw)
    loss = objective_of(TrainingParameters()).loss_sum(raw, labels.astype(float), None)
    metrics = Metrics.from_histogram(histogram, loss)
    probability = 1 / (1 + np.exp(-raw))
    assert metrics.rows == len(labels)
    assert metrics.positives == labels.sum()
    assert metrics.logloss == pytest.approx(log_loss(labels, probability), abs=1e-6)
    assert metrics.average_precision == pytest.approx(
        average_precision_score(labels, score_bin(raw)), abs=1e-12
    )
    assert metrics.average_precision == pytest.approx(
        average_precision_score(labels, raw), abs=2e-3
    )


def test_the_interval_is_delongs_widened_by_the_bound() -> None:
    labels, raw = scored(rows=5000)
    metrics = Metrics.from_histogram(score_histogram(labels, raw))
    exact = auc_interval(labels, raw)
    assert exact is not None
    assert metrics.auc_error_bound is not None
    slack = 2.5 * metrics.auc_error_bound
    assert metrics.auc_low == pytest.approx(exact.low, abs=slack)
    assert metrics.auc_high == pytest.approx(exact.high, abs=slack)
    assert metrics.auc_low is not None
    assert metrics.auc_high is not None
    assert metrics.auc_low < exact.low
    assert metrics.auc_high > exact.high


def test_rows_in_cells_of_their_own_have_the_exact_interval() -> None:
    labels, raw = [0, 0, 1, 0, 1, 0, 1, 1], np.arange(8.0)
    metrics = Metrics.from_histogram(score_histogram(labels, raw))
    exact = auc_interval(labels, raw)
    assert exact is not None
    assert metrics.auc_error_bound == 0.0
    assert (metrics.auc, metrics.auc_low, metrics.auc_high) == pytest.approx(
        (exact.estimate, exact.low, exact.high), abs=1e-12
    )
    assert 0.0 < exact.low < exact.high <= 1.0


@given(st.integers(0, 2**32), st.integers(1, 999))
def test_histograms_of_sites_add(seed: int, cut: int) -> None:
    labels, raw = scored(seed, rows=1000)
    order = np.random.default_rng(seed).permutation(1000)
    parts = [score_histogram(labels[part], raw[part], 256) for part in np.split(order, [cut])]
    np.testing.assert_array_equal(parts[0] + parts[1], score_histogram(labels, raw, 256))


def test_deciles_hold_lift_and_gain() -> None:
    labels, raw = scored(rows=100_000)
    histogram = score_histogram(labels, raw)
    metrics = Metrics.from_histogram(histogram)
    best_first = labels[np.argsort(-raw)]
    base = labels.mean()
    for k, decile in enumerate(metrics.deciles):
        rows = best_first[k * 10_000 : (k + 1) * 10_000]
        assert decile.share == pytest.approx((k + 1) / 10)
        assert decile.rate == pytest.approx(rows.mean(), abs=2e-3)
        assert decile.lift == pytest.approx(rows.mean() / base, abs=0.02)
        assert decile.gain == pytest.approx(
            best_first[: (k + 1) * 10_000].sum() / labels.sum(), abs=1e-3
        )
    assert metrics.deciles[-1].gain == 1.0
    assert lift_at(histogram, 0.1) == pytest.approx(metrics.deciles[0].lift)
    assert lift_at(histogram, 1.0) == 1.0


def test_calibrated_scores_lie_on_the_diagonal_and_others_do_not() -> None:
    labels, raw = scored(rows=200_000)
    table = Metrics.from_histogram(score_histogram(labels, raw)).calibration
    assert len(table) == 10
    assert [entry.predicted for entry in table] == sorted(entry.predicted for entry in table)
    for entry in table:
        assert entry.observed == pytest.approx(entry.predicted, abs=0.01)
    mean = sum(entry.predicted for entry in table) / 10
    assert mean == pytest.approx((1 / (1 + np.exp(-raw))).mean(), abs=1e-4)
    shifted = Metrics.from_histogram(score_histogram(labels, raw + 1.0)).calibration
    assert all(entry.predicted > 1.5 * entry.observed for entry in shifted[:5])


def test_all_scores_equal_is_a_coin_flip() -> None:
    metrics = Metrics.from_histogram(score_histogram([1, 0, 0, 0], [0.3] * 4))
    assert metrics.auc == 0.5
    assert metrics.auc_error_bound == 0.5
    assert metrics.average_precision == 0.25
    assert [decile.lift for decile in metrics.deciles] == pytest.approx([1.0] * 10)
    assert lift_at(score_histogram([1, 0, 0, 0], [0.3] * 4), 0.25) == pytest.approx(1.0)


@pytest.mark.parametrize("share", [0.0, 0.003, 0.05, 0.5, 1.0])
def test_a_threshold_selects_at_most_the_share_asked_for(share: float) -> None:
    labels, raw = scored()
    histogram = score_histogram(labels, raw)
    threshold = threshold_for(histogram, share)
    selected = int((raw >= threshold).sum())
    cell = int(score_bin([threshold])[0]) - 1 if math.isfinite(threshold) else 0
    assert selected <= share * len(raw)
    assert selected + histogram[:, cell].sum() >= share * len(raw) - 1e-6


def test_a_best_cell_too_full_for_the_share_selects_nobody() -> None:
    histogram = score_histogram([0, 0, 1, 1], [40.0, 40.0, 40.0, -1.0])
    assert threshold_for(histogram, 0.5) == math.inf
    assert threshold_for(histogram, 1.0) == -math.inf


@given(st.lists(st.floats(allow_nan=False), max_size=50), st.sampled_from([64, SCORE_BINS]))
def test_a_score_lies_between_the_edges_of_its_cell(values: list[float], bins: int) -> None:
    raw = np.array(values)
    for value, cell in zip(values, score_bin(raw, bins).tolist(), strict=True):
        assert 0 <= cell < bins
        assert score_edge(cell, bins) <= value
        assert value < score_edge(cell + 1, bins) or value == math.inf


def test_edges_are_the_same_everywhere() -> None:
    assert score_bin([-RAW_RANGE, 0.0, RAW_RANGE, -1e300, 1e300]).tolist() == [
        0,
        SCORE_BINS // 2,
        SCORE_BINS - 1,
        0,
        SCORE_BINS - 1,
    ]
    assert score_edge(SCORE_BINS // 2 + 1) == 2.0**-12


def test_one_class_and_no_rows_leave_metrics_undefined() -> None:
    empty = Metrics.from_histogram(np.zeros((2, 8), dtype=np.int64), 0)
    assert (empty.rows, empty.auc, empty.logloss, empty.average_precision) == (0, None, None, None)
    assert empty.deciles == ()
    assert empty.calibration == ()
    negatives = Metrics.from_histogram(score_histogram([0, 0], [1.0, 2.0]), 1 << 20)
    assert (negatives.auc, negatives.auc_low, negatives.auc_error_bound) == (None, None, None)
    assert negatives.logloss == 0.5
    assert negatives.deciles == ()
    assert len(negatives.calibration) == 10
    assert lift_at(score_histogram([0, 0], [1.0, 2.0]), 0.5) is None
    positives = Metrics.from_histogram(score_histogram([1, 1], [1.0, 2.0]))
    assert positives.auc is None
    assert positives.average_precision == 1.0


def test_metrics_travel_as_json() -> None:
    labels, raw = scored(rows=1000)
    for histogram in (score_histogram(labels, raw), score_histogram([0], [0.0])):
        metrics = Metrics.from_histogram(histogram, 5)
        assert Metrics.from_json(metrics.to_json()) == metrics
        json.loads(metrics.to_json(), parse_constant=pytest.fail)  # no NaN, no Infinity


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"rows":1}', '{"deciles":[{}],"calibration":[]}']
)
def test_malformed_metrics_are_refused(text: str) -> None:
    with pytest.raises(DataError, match="malformed"):
        Metrics.from_json(text)


@pytest.mark.parametrize(
    "histogram", [np.zeros(8), np.zeros((3, 8)), np.full((2, 8), -1), np.zeros((2, 0))]
)
def test_a_malformed_histogram_is_refused(histogram: NDArray[np.int64]) -> None:
    for function in (
        Metrics.from_histogram,
        lambda h: lift_at(h, 0.1),
        lambda h: threshold_for(h, 1),
    ):
        with pytest.raises(DataError, match="malformed"):
            function(histogram)


def test_scores_that_are_not_numbers_are_refused() -> None:
    with pytest.raises(DataError, match="not a number"):
        score_histogram([0, 1], [0.0, math.nan])
    with pytest.raises(DataError, match="not a number"):
        score_bin([math.nan])
    with pytest.raises(DataError, match="differ in length"):
        score_histogram([0, 1], [0.0])


@pytest.mark.parametrize("bins", [-2, 0, 1, 1000])
def test_cells_come_in_powers_of_two(bins: int) -> None:
    with pytest.raises(DataError, match="number of cells"):
        score_bin([0.0], bins)
    with pytest.raises(DataError, match="number of cells"):
        score_histogram([0], [0.0], bins)


def test_logloss_of_probabilities_is_scikit_learns() -> None:
    labels, raw = scored(rows=2000)
    probability = 1 / (1 + np.exp(-raw))
    assert logloss(labels, probability) == pytest.approx(log_loss(labels, probability))
    assert logloss([1], [0.0]) == pytest.approx(-math.log(1e-15))

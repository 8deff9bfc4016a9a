"""Log loss: integers of the rows, base score, weights."""

from __future__ import annotations

from math import floor, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fed_audience.errors import DataError
from fed_audience.gbdt.arithmetic import LOSS_BITS, logloss_fixed, sigmoids
from fed_audience.gbdt.evaluation import Metrics, score_histogram
from fed_audience.gbdt.fixed_point import gradient_scale
from fed_audience.gbdt.kernels.team import team_of
from fed_audience.gbdt.objectives import Objective, objective_of
from fed_audience.gbdt.parameters import TrainingParameters
from tests.gbdt.oracle import fixed_point

PLAIN = objective_of(TrainingParameters())
SCORES = st.lists(st.floats(-800, 800), min_size=1, max_size=40)


def binary(row_cap: int = 2**27, factor: float = 1.0, weight_cap: float = 1.0) -> Objective:
    parameters = TrainingParameters(row_cap=row_cap, scale_pos_weight=factor)
    return objective_of(parameters, weight_cap=weight_cap)


def drawn(scores: list[float], seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    rows = len(scores)
    labels = draw.integers(0, 2, rows).astype(float)
    return np.array([scores]), labels, draw.uniform(0.01, 4.0, rows)


def pairs_of(
    objective: Objective, scores: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None
) -> tuple[list[int], list[int]]:
    pairs = np.empty(scores.shape, dtype=np.int64)
    objective.gradient_pairs(scores, labels, weights, pairs)
    return (pairs >> 32).ravel().tolist(), (pairs & (2**32 - 1)).ravel().tolist()


def loss_of(labels: np.ndarray, raw: np.ndarray) -> int:
    rows = zip(labels.tolist(), raw[0].tolist(), strict=True)
    return sum(int(logloss_fixed(label, score)) for label, score in rows)


@given(scores=SCORES, seed=st.integers(0, 9), cap=st.integers(1, 2**34))
def test_pairs_are_the_oracles_integers(scores: list[float], seed: int, cap: int) -> None:
    raw, labels, _ = drawn(scores, seed)
    expected = fixed_point(raw[0], labels, gradient_scale(cap))
    assert pairs_of(binary(cap), raw, labels) == expected
    assert pairs_of(binary(cap), raw, labels, np.ones(len(scores))) == expected


@given(scores=SCORES, seed=st.integers(0, 9), factor=st.floats(0.01, 16.0))
def test_weights_multiply_before_the_one_rounding(
    scores: list[float], seed: int, factor: float
) -> None:
    raw, labels, weights = drawn(scores, seed)
    objective = binary(factor=factor, weight_cap=64.0)
    gradients, hessians = pairs_of(objective, raw, labels, weights)
    rows = zip(sigmoids(raw[0]).tolist(), labels.tolist(), weights.tolist(), strict=True)
    for i, (p, y, w) in enumerate(rows):
        unit = w * (factor if y else 1.0) * (2**16 / 64)
        assert gradients[i] == floor((p - y) * unit + 0.5)
        assert hessians[i] == max(1, floor(p * (1 - p) * unit + 0.5))


@given(score=st.floats(allow_nan=False), label=st.sampled_from([0.0, 1.0]), bits=st.integers(0, 34))
def test_no_row_leaves_the_bounds(score: float, label: float, bits: int) -> None:
    objective = binary(2**bits, factor=4.0, weight_cap=4.0)
    (gradient,), (hessian,) = pairs_of(objective, np.array([[score]]), np.array([label]))
    assert abs(gradient) <= objective.fixed.gradient_bound
    assert 1 <= hessian <= objective.fixed.hessian_bound


def test_units_are_worth_the_weight_cap_over_the_scale() -> None:
    fixed = binary(weight_cap=8.0).fixed
    assert fixed.gradient_unit == fixed.hessian_unit == 8.0 / 2**16
    assert (fixed.gradient_bound, fixed.hessian_bound) == (2**16, 2**14)


def test_a_row_above_the_weight_cap_is_refused_not_wrapped() -> None:
    scores, labels = np.zeros((1, 2)), np.array([0.0, 1.0])
    with pytest.raises(DataError, match="weighs more"):
        pairs_of(binary(factor=2.0), scores, labels)
    with pytest.raises(DataError, match="weighs more"):
        pairs_of(binary(), scores, labels, np.array([1.0, 1.5]))


def test_threads_change_nothing() -> None:
    raw, labels, weights = drawn(np.linspace(-5, 5, 1_001).tolist(), 3)
    objective = binary(weight_cap=4.0)
    alone, shared = np.empty((2, 1, 1_001), dtype=np.int64)
    objective.gradient_pairs(raw, labels, weights, alone)
    objective.gradient_pairs(raw, labels, weights, shared, team=team_of(3))
    assert np.array_equal(alone, shared)


def test_base_score_is_the_log_odds_of_the_rate() -> None:
    labels = np.repeat([1.0, 0.0], [250, 750])
    sums = PLAIN.label_sums(labels, None)
    assert len(sums) == PLAIN.sums_size
    assert PLAIN.base_scores(sums) == pytest.approx((log(1 / 3),), abs=1e-15)
    assert binary(factor=8.0, weight_cap=8.0).base_scores(sums) == PLAIN.base_scores(sums)


def test_weights_move_the_base_score() -> None:
    labels, weights = np.array([1.0, 0.0, 0.0]), np.array([3.0, 0.5, 0.5])
    objective = binary(weight_cap=4.0)
    assert objective.base_scores(objective.label_sums(labels, weights)) == pytest.approx(
        (log(3.0),)
    )


@pytest.mark.parametrize("labels", [[], [0.0] * 5, [1.0] * 5])
def test_one_class_cannot_be_learnt(labels: list[float]) -> None:
    with pytest.raises(DataError, match="one class only"):
        PLAIN.base_scores(PLAIN.label_sums(np.array(labels), None))


@pytest.mark.parametrize("weights", [None, np.full(300, 4.0)])
def test_a_brands_own_base_score_lies_between_its_rate_and_the_federations(
    weights: np.ndarray | None,
) -> None:
    objective = binary(weight_cap=4.0)
    labels = np.repeat([1.0, 0.0], [30, 270])
    (own,) = objective.shrunk_base_scores(objective.label_sums(labels, weights), (log(1 / 4),))
    assert own == pytest.approx(log((30 + 40) / (270 + 160)))
    nothing = objective.label_sums(np.empty(0), None)
    assert objective.shrunk_base_scores(nothing, (0.25,)) == (0.25,)
    one_class = objective.label_sums(np.zeros(100), None)
    assert objective.shrunk_base_scores(one_class, (0.0,))[0] == pytest.approx(log(100 / 200))


@given(scores=SCORES, seed=st.integers(0, 9))
def test_plain_losses_are_those_of_the_arithmetic(scores: list[float], seed: int) -> None:
    raw, labels, _ = drawn(scores, seed)
    total = PLAIN.loss_sum(raw, labels, None)
    assert total == loss_of(labels, raw)
    weight = PLAIN.weight_sum(None, len(scores))
    assert PLAIN.mean_loss(total, weight) == total / (len(scores) << LOSS_BITS)


def test_weighted_losses_are_in_units_of_the_weight_cap() -> None:
    objective = binary(factor=3.0, weight_cap=8.0)
    labels, scores, weights = np.array([1.0, 0.0]), np.zeros((1, 2)), np.array([2.0, 0.5])
    loss = objective.loss_sum(scores, labels, weights)
    weight = objective.weight_sum(weights, 2)
    assert loss * objective.loss_unit == pytest.approx(6.5 * log(2), abs=2 * objective.loss_unit)
    assert weight * objective.weight_unit == 2.5
    assert objective.mean_loss(loss, weight) == pytest.approx(6.5 / 2.5 * log(2), rel=1e-5)


@pytest.mark.parametrize("bad", [np.nan, 0.5, -1.0, 2.0, np.inf])
def test_labels_are_0_or_1(bad: float) -> None:
    assert PLAIN.label_problem(np.array([0.0, 1.0])) is None
    assert PLAIN.label_problem(np.array([0.0, bad])) == "a label is not 0 or 1"


@pytest.mark.parametrize(
    ("bad", "words"),
    [(np.nan, "missing"), (np.inf, "infinite"), (0.0, "not above 0"), (2.1, "above 2")],
)
def test_weights_are_above_0_and_within_the_cap(bad: float, words: str) -> None:
    objective = binary(factor=4.0, weight_cap=8.0)
    assert objective.weight_problem(np.array([1.0, 2.0])) is None
    assert words in str(objective.weight_problem(np.array([1.0, bad])))


def test_evaluations_of_sites_add_to_the_metrics_of_all_rows() -> None:
    raw, labels, _ = drawn(np.linspace(-3, 3, 500).tolist(), 1)
    halves = [
        PLAIN.evaluation(raw[:, half], labels[half]) for half in (slice(200), slice(200, 500))
    ]
    assert all(len(half) == PLAIN.evaluation_size for half in halves)
    expected = Metrics.from_histogram(score_histogram(labels, raw[0]), loss_of(labels, raw))
    assert PLAIN.metrics(halves[0] + halves[1]) == expected


def test_predictions_are_probabilities() -> None:
    assert PLAIN.predict(np.array([[0.0, 800.0]])).tolist() == [[0.5, 1.0]]
    assert (PLAIN.text, PLAIN.classes, PLAIN.bounded) == ("binary sigmoid:1", 1, True)

"""Metrics of several classes agree with scikit-learn on the pooled probabilities."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, confusion_matrix, log_loss, roc_auc_score

from fed_audience.gbdt.evaluation import Metrics, MulticlassMetrics, metrics_from_json
from fed_audience.gbdt.objectives import objective_of
from fed_audience.gbdt.parameters import TrainingParameters

Floats = NDArray[np.float64]


def scored(classes: int, rows: int, seed: int = 0, spread: float = 1.0) -> tuple[Floats, Floats]:
    """Labels drawn from the softmax of the scores."""
    draw = np.random.default_rng(seed)
    scores = draw.normal(0, spread, (classes, rows))
    labels = np.argmax(scores + draw.gumbel(size=scores.shape), axis=0)
    return labels.astype(float), scores


def measured(labels: Floats, scores: Floats) -> MulticlassMetrics:
    objective = objective_of(TrainingParameters(objective="multiclass", num_class=len(scores)))
    cut = len(labels) // 3
    parts = [
        objective.evaluation(np.ascontiguousarray(scores[:, part]), labels[part])
        for part in (slice(cut), slice(cut, None))
    ]
    metrics = objective.metrics(parts[0] + parts[1])
    assert isinstance(metrics, MulticlassMetrics)
    return metrics


def softmax(scores: Floats) -> Floats:
    shares: Floats = np.exp(scores - scores.max(axis=0))
    shares /= shares.sum(axis=0)
    return shares


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_metrics_are_scikit_learns(classes: int) -> None:
    labels, scores = scored(classes, 20_000)
    metrics, p = measured(labels, scores), softmax(scores)
    assert metrics.rows == 20_000
    assert metrics.logloss == pytest.approx(log_loss(labels, p.T), abs=1e-6)
    predicted = p.argmax(axis=0)
    assert metrics.confusion == tuple(map(tuple, confusion_matrix(labels, predicted).tolist()))
    assert metrics.error_rate == pytest.approx(1 - accuracy_score(labels, predicted))
    for k in range(classes):
        value, bound = metrics.class_auc[k], metrics.auc_error_bounds[k]
        assert value is not None
        assert bound is not None
        assert abs(value - roc_auc_score(labels == k, p[k])) <= bound < 1e-3
    if classes > 2:
        macro = roc_auc_score(labels, p.T, multi_class="ovr", average="macro")
        assert metrics.macro_auc == pytest.approx(macro, abs=1e-3)


@given(seed=st.integers(0, 999), rows=st.integers(1, 40), spread=st.floats(0.0, 30.0))
def test_the_bound_holds_for_few_rows_and_extreme_scores(
    seed: int, rows: int, spread: float
) -> None:
    labels, scores = scored(3, rows, seed, spread)
    metrics, p = measured(labels, scores), softmax(scores)
    for k in range(3):
        value, bound = metrics.class_auc[k], metrics.auc_error_bounds[k]
        if len(set((labels == k).tolist())) < 2:
            assert value is bound is None
        else:
            assert value is not None
            assert bound is not None
            assert abs(value - roc_auc_score(labels == k, p[k])) <= bound + 1e-12


def test_equal_probabilities_predict_the_first_class() -> None:
    metrics = measured(np.array([0.0, 1.0, 2.0]), np.zeros((3, 3)))
    assert metrics.confusion == ((1, 0, 0), (1, 0, 0), (1, 0, 0))
    assert metrics.error_rate == pytest.approx(2 / 3)
    assert metrics.class_auc == (0.5, 0.5, 0.5)
    assert metrics.macro_auc == 0.5
    assert metrics.headline == "33.3% of the classes right, log loss 1.0986"


def test_no_rows_leave_metrics_undefined() -> None:
    metrics = measured(np.empty(0), np.empty((3, 0)))
    assert (metrics.rows, metrics.logloss, metrics.error_rate, metrics.macro_auc) == (
        0,
        None,
        None,
        None,
    )


def test_metrics_travel_as_json() -> None:
    metrics = measured(*scored(3, 100))
    assert metrics_from_json(metrics.to_json()) == metrics
    assert metrics_from_json(measured(np.zeros(1), np.zeros((2, 1))).to_json()).rows == 1
    json.loads(metrics.to_json(), parse_constant=pytest.fail)  # no NaN, no Infinity


def test_metrics_of_two_classes_are_read_without_a_kind() -> None:
    binary = objective_of(TrainingParameters())
    metrics = binary.metrics(binary.evaluation(np.array([[0.5, -1.0]]), np.array([1.0, 0.0])))
    assert isinstance(metrics, Metrics)
    assert metrics_from_json(metrics.to_json()) == metrics

"""Metrics of amounts agree with scikit-learn on the pooled predictions."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import (
    d2_tweedie_score,
    mean_absolute_error,
    mean_poisson_deviance,
    mean_squared_error,
    mean_tweedie_deviance,
    r2_score,
)

from fed_audience.errors import DataError
from fed_audience.gbdt.evaluation import CountMetrics, MulticlassMetrics, metrics_from_json
from fed_audience.gbdt.evaluation.count_sums import CELLS, prediction_cell
from fed_audience.gbdt.objectives import Objective, objective_of
from fed_audience.gbdt.parameters import TrainingParameters

Floats = NDArray[np.float64]

CHOICES: dict[str, dict[str, Any]] = {
    "regression": {},
    "poisson": {},
    "tweedie": {"tweedie_variance_power": 1.7},
}
POWERS = {"regression": 0.0, "poisson": 1.0, "tweedie": 1.7}


def of(name: str, label_cap: float = 4096.0, row_cap: int = 2**27) -> Objective:
    parameters = TrainingParameters(objective=name, row_cap=row_cap, **CHOICES[name])  # type: ignore[arg-type]
    return objective_of(parameters, label_cap=label_cap)


def scored(name: str, rows: int = 20_000, seed: int = 0) -> tuple[Floats, Floats]:
    """Labels and raw scores of a model that knows half of what there is to know."""
    draw = np.random.default_rng(seed)
    known, unknown = draw.normal(0.5, 0.8, (2, rows))
    mean = np.exp(known + 0.5 * unknown)
    if name == "regression":
        return mean - 3.0, known
    labels = draw.poisson(mean) * (draw.gamma(2.0, 2.0, rows) if name == "tweedie" else 1.0)
    return labels, known + 0.3


def measured(name: str, rows: int = 20_000, seed: int = 0) -> tuple[CountMetrics, Floats, Floats]:
    objective = of(name)
    labels, scores = scored(name, rows, seed)
    metrics = objective.metrics(objective.evaluation(scores[None, :], labels))
    assert isinstance(metrics, CountMetrics)
    return metrics, labels, scores if name == "regression" else np.exp(scores)


@pytest.mark.parametrize("name", CHOICES)
@pytest.mark.parametrize("rows", [3, 20_000])
def test_errors_are_scikit_learns(name: str, rows: int) -> None:
    metrics, labels, predictions = measured(name, rows)
    assert (metrics.objective, metrics.rows, metrics.clipped) == (name, rows, 0)
    assert metrics.rmse == pytest.approx(mean_squared_error(labels, predictions) ** 0.5, rel=1e-7)
    assert metrics.mae == pytest.approx(mean_absolute_error(labels, predictions), rel=1e-9)
    assert metrics.r2 == pytest.approx(r2_score(labels, predictions), abs=1e-7)
    assert metrics.mean_label == pytest.approx(labels.mean(), abs=1e-7)
    assert metrics.mean_prediction == pytest.approx(predictions.mean(), abs=1e-7)
    power = POWERS[name]
    deviance = mean_tweedie_deviance(labels, predictions, power=power)
    assert metrics.deviance == pytest.approx(deviance, rel=1e-7)
    explained = d2_tweedie_score(labels, predictions, power=power)
    assert metrics.explained_deviance == pytest.approx(explained, abs=1e-6)


def test_poisson_deviance_is_scikit_learns_own() -> None:
    metrics, labels, predictions = measured("poisson")
    assert metrics.deviance == pytest.approx(mean_poisson_deviance(labels, predictions))


@given(seed=st.integers(0, 99), rows=st.integers(1, 50), cap_bits=st.integers(7, 30))
def test_errors_stay_exact_beside_a_label_cap_far_above(
    seed: int, rows: int, cap_bits: int
) -> None:
    objective = of("poisson", 2.0**cap_bits, row_cap=2**34)
    labels, scores = scored("poisson", rows, seed)
    labels = np.minimum(labels, 127.0)
    metrics = objective.metrics(objective.evaluation(scores[None, :], labels))
    assert isinstance(metrics, CountMetrics)
    squared = mean_squared_error(labels, np.exp(scores))
    assert metrics.rmse is not None
    assert metrics.deviance is not None
    assert abs(metrics.rmse**2 - squared) <= 4.0 * 2.0 ** (2 * cap_bits - 51) + 1e-9
    deviance = mean_poisson_deviance(labels, np.exp(scores))
    assert abs(metrics.deviance - deviance) <= 64.0 * 2.0 ** (cap_bits - 51) + 1e-9


@pytest.mark.parametrize("name", CHOICES)
def test_deciles_compare_predictions_with_labels(name: str) -> None:
    metrics, labels, predictions = measured(name)
    order = np.argsort(-predictions)
    assert [decile.share for decile in metrics.deciles] == [k / 10 for k in range(1, 11)]
    spread = predictions.std()
    for k, decile in enumerate(metrics.deciles):
        rows = order[k * 2_000 : (k + 1) * 2_000]
        assert decile.predicted == pytest.approx(predictions[rows].mean(), abs=0.01 * spread)
        assert decile.observed == pytest.approx(labels[rows].mean(), abs=0.03 * labels.std())
    if labels.mean() > 0:
        first = metrics.deciles[0]
        assert first.lift == pytest.approx(first.observed / labels.mean())
        assert first.gain == pytest.approx(0.1 * first.observed / labels.mean())
        assert metrics.deciles[-1].gain == pytest.approx(1.0)
    else:
        assert metrics.deciles[0].lift is None


def test_labels_and_predictions_beyond_the_cap_are_clipped_and_counted() -> None:
    objective = of("poisson", 8.0)
    scores = np.log([[1.0, 100.0, 4.0]])
    metrics = objective.metrics(objective.evaluation(scores, np.array([20.0, 8.0, 4.0])))
    assert isinstance(metrics, CountMetrics)
    assert metrics.clipped == 2
    assert metrics.mae == pytest.approx(7.0 / 3)
    assert metrics.mean_label == pytest.approx(20.0 / 3)
    assert str(metrics.headline).endswith("of the deviance explained, RMSE 4.041")


@given(
    first=st.floats(-1, 1, allow_subnormal=False), second=st.floats(-1, 1, allow_subnormal=False)
)
def test_cells_keep_the_order_of_predictions(first: float, second: float) -> None:
    low, high = sorted((first, second))
    cells = prediction_cell(low), prediction_cell(high)
    assert 0 <= cells[0] <= cells[1] < CELLS
    if cells[0] == cells[1] and abs(low) >= 2.0**-32:
        assert high == 1.0 or abs(high - low) <= 2.0**-8 * abs(high)


def test_labels_all_alike_have_nothing_to_explain() -> None:
    objective = of("poisson")
    metrics = objective.metrics(objective.evaluation(np.zeros((1, 4)), np.ones(4)))
    assert isinstance(metrics, CountMetrics)
    assert (metrics.r2, metrics.explained_deviance, metrics.headline) == (None, None, None)
    assert (metrics.rmse, metrics.deviance) == (0.0, 0.0)


@pytest.mark.parametrize("name", CHOICES)
def test_no_rows_leave_metrics_undefined(name: str) -> None:
    objective = of(name)
    metrics = objective.metrics(objective.evaluation(np.empty((1, 0)), np.empty(0)))
    assert isinstance(metrics, CountMetrics)
    assert (metrics.rows, metrics.rmse, metrics.deviance, metrics.deciles) == (0, None, None, ())
    assert metrics_from_json(metrics.to_json()) == metrics


@pytest.mark.parametrize("name", CHOICES)
def test_metrics_travel_as_json(name: str) -> None:
    metrics, _, _ = measured(name, 500)
    assert CountMetrics.from_json(metrics.to_json()) == metrics
    assert metrics_from_json(metrics.to_json()) == metrics
    json.loads(metrics.to_json(), parse_constant=pytest.fail)  # no NaN, no Infinity


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "3", '{"kind":"count"}', '{"kind":"multiclass"}', '{"kind":"other"}']
)
def test_malformed_metrics_are_refused(text: str) -> None:
    for read in (metrics_from_json, CountMetrics.from_json, MulticlassMetrics.from_json):
        with pytest.raises(DataError, match="malformed"):
            read(text)

"""Squared error, Poisson and Tweedie: what a label cap does, and what rounding may not do."""

from __future__ import annotations

from math import log

import numpy as np
import pytest

from fed_audience.errors import DataError
from fed_audience.gbdt.objectives import Objective, objective_of
from fed_audience.gbdt.objectives.unbounded import power_of_two_above
from fed_audience.gbdt.parameters import ObjectiveName, TrainingParameters


def of(name: ObjectiveName, label_cap: float, row_cap: int = 2**27) -> Objective:
    return objective_of(TrainingParameters(objective=name, row_cap=row_cap), label_cap=label_cap)


def pair(objective: Objective, score: float, label: float) -> tuple[float, float]:
    """Gradient and hessian of one row, in real values."""
    out = np.empty((1, 1), dtype=np.int64)
    objective.gradient_pairs(np.array([[score]]), np.array([label]), None, out)
    fixed = objective.fixed
    packed = int(out[0, 0])
    return (packed >> 32) * fixed.gradient_unit, (packed & (2**32 - 1)) * fixed.hessian_unit


def test_gradients_are_clipped_to_the_label_cap_and_counted() -> None:
    regression, poisson = of("regression", 8.0), of("poisson", 8.0)
    assert pair(regression, 20.0, 1.0) == (8.0, 1.0)
    assert pair(regression, -20.0, 1.0) == (-8.0, 1.0)
    assert pair(poisson, 0.0, 100.0)[0] == -8.0
    assert pair(poisson, 700.0, 1.0) == (8.0, 32.0)
    labels = np.array([1.0, 9.5, 8.0, 100.0])
    assert regression.clipped(np.zeros((1, 4)), labels) == 2
    assert poisson.clipped(np.zeros((1, 4)), labels) == 2
    assert poisson.clipped(np.full((1, 4), log(8.0)), np.minimum(labels, 8.0)) == 0


def test_a_tweedie_label_counts_more_where_the_mean_is_below_one() -> None:
    tweedie = of("tweedie", 8.0)
    gradient, hessian = pair(tweedie, log(1 / 64), 8.0)
    assert gradient == pytest.approx(1 / 8 - 64.0, abs=1e-4)
    assert hessian == pytest.approx(0.5 * 64.0 + 0.5 / 8, abs=1e-4)
    assert tweedie.clipped(np.full((1, 1), log(1 / 64)), np.array([8.0])) == 0
    assert tweedie.clipped(np.full((1, 1), -20.0), np.array([8.0])) == 1


@pytest.mark.parametrize("name", ["poisson", "tweedie"])
@pytest.mark.parametrize(
    ("rate", "label_cap", "moved"),
    [(0.01, 16.0, 1e-3), (2.0, 1024.0, 1e-4), (2.0, 32768.0, 1e-3), (0.1, 32768.0, 2e-2)],
)
def test_rounding_does_not_move_the_mean(
    name: ObjectiveName, rate: float, label_cap: float, moved: float
) -> None:
    """Newton steps on one constant end where the rounded gradients cancel: at the mean."""
    labels = np.random.default_rng(0).poisson(rate, 100_000).astype(float)
    objective, pairs = of(name, label_cap), np.empty((1, 100_000), dtype=np.int64)
    score = log(labels.mean()) + 0.5
    for _ in range(40):
        objective.gradient_pairs(np.full((1, 100_000), score), labels, None, pairs)
        gradients, hessians = (pairs >> 32).sum(), (pairs & (2**32 - 1)).sum()
        score -= 0.5 * gradients / hessians
    assert np.exp(score) == pytest.approx(labels.mean(), rel=moved)


@pytest.mark.parametrize("name", ["poisson", "tweedie"])
def test_negative_labels_and_nothing_but_zeros_are_refused(name: ObjectiveName) -> None:
    objective = of(name, 8.0)
    assert objective.label_problem(np.array([0.0, 0.5])) is None
    assert objective.label_problem(np.array([0.0, -0.5])) == "a label is negative"
    with pytest.raises(DataError, match="zero"):
        objective.base_scores(objective.label_sums(np.zeros(5), None))


def test_regression_takes_any_sign() -> None:
    objective = of("regression", 8.0)
    assert objective.label_problem(np.array([-7.0, 3.0])) is None
    assert objective.base_scores(objective.label_sums(np.array([-7.0, 3.0]), None)) == (-2.0,)


def test_links_and_names() -> None:
    scores = np.array([[0.0, log(3.0)]])
    assert of("regression", 1.0).predict(scores).tolist() == scores.tolist()
    for name in ("poisson", "tweedie"):
        objective = objective_of(TrainingParameters(objective=name))
        assert objective.predict(scores)[0] == pytest.approx([1.0, 3.0])
        assert objective.text == name
    assert of("regression", 1.0).text == "regression"


@pytest.mark.parametrize(("value", "power"), [(1.0, 1.0), (1.1, 2.0), (2.01, 4.0), (0.3, 0.5)])
def test_a_power_of_two_above(value: float, power: float) -> None:
    assert power_of_two_above(value) == power


def test_losses_are_deviances() -> None:
    scores, labels = np.array([[log(2.0), log(2.0)]]), np.array([0.0, 3.0])
    poisson = of("poisson", 8.0)
    deviance = 2 * 2.0 + 2 * (3 * log(3 / 2) - 1.0)
    assert poisson.loss_sum(scores, labels, None) * poisson.loss_unit == pytest.approx(deviance)
    tweedie = of("tweedie", 8.0)
    total = sum(
        2 * (y**0.5 / (-0.5 * 0.5) + y * 2**-0.5 / 0.5 + 2**0.5 / 0.5) for y in labels.tolist()
    )
    assert tweedie.loss_sum(scores, labels, None) * tweedie.loss_unit == pytest.approx(total)
    regression = of("regression", 8.0)
    assert regression.loss_sum(np.array([[1.0, 5.0]]), labels, None) * regression.loss_unit == 5.0

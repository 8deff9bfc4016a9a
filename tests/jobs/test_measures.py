"""Measures of each objective against scikit-learn, and what one model gains over another."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sk

from fed_audience.gbdt.evaluation import auc_difference
from fed_audience.gbdt.parameters import TrainingParameters
from fed_audience.jobs.measures import measures_of

R = np.random.default_rng(3)
COUNTS = R.poisson(3.0, 400).astype(float)
RATES = R.normal(1.0, 0.3, 400)


def named(**changes: Any) -> dict[str, Any]:
    return {measure.name: measure for measure in measures_of(TrainingParameters(**changes))}


def test_two_classes() -> None:
    labels, scores = R.integers(0, 2, 300), R.normal(size=300)
    found = named()
    assert next(iter(found)) == "auc"
    assert found["auc"].value(labels, scores) == pytest.approx(sk.roc_auc_score(labels, scores))
    loss = sk.log_loss(labels, 1 / (1 + np.exp(-scores)))
    assert found["logloss"].value(labels, scores) == pytest.approx(loss)
    other = R.normal(size=300)
    assert found["auc"].advantage(labels, scores, other) == auc_difference(labels, scores, other)
    saved = found["logloss"].advantage(labels, scores, other).estimate
    assert saved == pytest.approx(sk.log_loss(labels, 1 / (1 + np.exp(-other))) - loss)


@pytest.mark.parametrize(("objective", "power"), [("poisson", 1.0), ("tweedie", 1.5)])
def test_counts_and_amounts(objective: str, power: float) -> None:
    found = named(objective=objective)
    assert list(found) == ["deviance", "rmse", "mae"]
    mean = np.exp(RATES)
    deviance = sk.mean_tweedie_deviance(COUNTS, mean, power=power)
    assert found["deviance"].value(COUNTS, RATES) == pytest.approx(deviance)
    rmse = sk.root_mean_squared_error(COUNTS, mean)
    assert found["rmse"].value(COUNTS, RATES) == pytest.approx(rmse)
    mae = sk.mean_absolute_error(COUNTS, mean)
    assert found["mae"].value(COUNTS, RATES) == pytest.approx(mae)


def test_numbers_are_predicted_as_they_are() -> None:
    found = named(objective="regression")
    assert list(found) == ["rmse", "mae"]
    rmse = sk.root_mean_squared_error(COUNTS, RATES)
    assert found["rmse"].value(COUNTS, RATES) == pytest.approx(rmse)
    better = found["rmse"].advantage(COUNTS, COUNTS * 0.9, RATES)
    assert better.estimate == pytest.approx(rmse - sk.root_mean_squared_error(COUNTS, COUNTS * 0.9))
    assert better.low < better.estimate < better.high


def test_several_classes() -> None:
    labels, scores = R.integers(0, 3, 200), R.normal(size=(3, 200))
    shares = np.exp(scores) / np.exp(scores).sum(axis=0)
    found = named(objective="multiclass", num_class=3)
    assert found["logloss"].value(labels, scores) == pytest.approx(sk.log_loss(labels, shares.T))
    hits = sk.accuracy_score(labels, scores.argmax(axis=0))
    assert found["accuracy"].value(labels, scores) == pytest.approx(hits)


def test_an_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    measure = named(objective="regression")["rmse"]
    inside = 0
    for seed in range(200):
        noise = np.random.default_rng(seed).normal(size=200)
        found = measure.interval(noise, np.zeros(200))
        inside += found.low <= 1.0 <= found.high
    assert 180 <= inside <= 199


def test_no_rows_have_no_measure() -> None:
    for measure in named(objective="poisson").values():
        assert measure.value(np.empty(0), np.empty(0)) is None
        assert measure.advantage(np.empty(0), np.empty(0), np.empty(0)) is None

"""LightGBM on the pooled rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import lightgbm

from benchmarks.learners import Fit, Task, quality
from benchmarks.measuring import Seconds, peak_bytes, restart_peak

if TYPE_CHECKING:
    from benchmarks.datasets import Table


def settings(task: Task) -> dict[str, Any]:
    """Return the parameters and floors of our defaults, under LightGBM's names."""
    return {
        "objective": task.objective,
        "num_leaves": 63,
        "max_depth": 6,
        "learning_rate": task.learning_rate,
        "max_bin": 255,
        "min_sum_hessian_in_leaf": 1.0,
        "min_data_in_leaf": 20,
        "lambda_l2": 0.0,
        "num_threads": task.threads,
        "verbose": -1,
    }


def fit(table: Table, task: Task) -> Fit:
    """Build the Dataset (binning), then train on it (boosting)."""
    options = settings(task)
    values, labels = table.matrix(0, table.rows), table.labels(0, table.rows)
    baseline = restart_peak()
    began = Seconds.here()
    rows = lightgbm.Dataset(
        values, labels, categorical_feature=list(table.categorical), params=options
    ).construct()
    binned = Seconds.here()
    booster = lightgbm.train(options, rows, task.trees)
    ended, peak = Seconds.here(), peak_bytes()

    def predict(start: int, stop: int) -> Any:
        return booster.predict(table.matrix(start, stop))

    return Fit(
        binning=binned.since(began),
        boosting=ended.since(binned),
        baseline=baseline,
        peak=peak,
        quality=quality(table, task, predict),
    )

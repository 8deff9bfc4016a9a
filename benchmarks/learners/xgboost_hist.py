"""XGBoost's histogram method on the pooled rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import xgboost

from benchmarks.learners import Fit, Task, quality
from benchmarks.measuring import Seconds, peak_bytes, restart_peak

if TYPE_CHECKING:
    from benchmarks.datasets import Table

MAX_BIN = 255


def settings(threads: int) -> dict[str, Any]:
    """Return our defaults under XGBoost's names; it knows no ``min_data_in_leaf``."""
    return {
        "objective": "binary:logistic",
        "tree_method": "hist",
        "grow_policy": "depthwise",
        "max_depth": 6,
        "max_leaves": 63,
        "learning_rate": 0.1,
        "max_bin": MAX_BIN,
        "min_child_weight": 1.0,
        "reg_lambda": 0.0,
        "nthread": threads,
        "verbosity": 0,
    }


def types(table: Table) -> list[str]:
    """Say which features are categories ("c") and which are numbers ("q")."""
    categorical = set(table.categorical)
    return ["c" if f in categorical else "q" for f in range(table.features)]


def fit(table: Table, task: Task) -> Fit:
    """Build the QuantileDMatrix (binning), then train on it (boosting)."""
    values, labels = table.matrix(0, table.rows), table.labels(0, table.rows)
    kinds: dict[str, Any] = {"feature_types": types(table), "enable_categorical": True}
    baseline = restart_peak()
    began = Seconds.here()
    rows = xgboost.QuantileDMatrix(values, labels, max_bin=MAX_BIN, nthread=task.threads, **kinds)
    binned = Seconds.here()
    booster = xgboost.train(settings(task.threads), rows, task.trees)
    ended, peak = Seconds.here(), peak_bytes()

    def predict(start: int, stop: int) -> Any:
        return booster.predict(xgboost.DMatrix(table.matrix(start, stop), **kinds))

    return Fit(
        binning=binned.since(began),
        boosting=ended.since(binned),
        baseline=baseline,
        peak=peak,
        quality=quality(table, task, predict),
    )

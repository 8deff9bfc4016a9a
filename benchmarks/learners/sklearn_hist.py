"""scikit-learn's HistGradientBoostingClassifier on the pooled rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

from benchmarks.learners import Fit, Task, quality
from benchmarks.measuring import Seconds, peak_bytes, restart_peak

if TYPE_CHECKING:
    from benchmarks.datasets import Table


def fit(table: Table, task: Task) -> Fit:
    """Train; binning is part of its ``fit``. Its floor of the hessian is its own (1e-3)."""
    booster = HistGradientBoostingClassifier(
        max_iter=task.trees,
        max_leaf_nodes=63,
        max_depth=6,
        learning_rate=0.1,
        max_bins=255,
        min_samples_leaf=20,
        l2_regularization=0.0,
        categorical_features=list(table.categorical) or None,
        early_stopping=False,
    )
    values, labels = table.matrix(0, table.rows), table.labels(0, table.rows)
    with threadpool_limits(task.threads):
        baseline = restart_peak()
        began = Seconds.here()
        booster.fit(values, labels)
        ended, peak = Seconds.here(), peak_bytes()

    def predict(start: int, stop: int) -> Any:
        return booster.decision_function(table.matrix(start, stop))

    return Fit(
        binning=None,
        boosting=ended.since(began),
        baseline=baseline,
        peak=peak,
        quality=quality(table, task, predict),
    )

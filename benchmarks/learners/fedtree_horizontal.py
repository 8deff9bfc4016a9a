"""FedTree's horizontal training, simulated in its own process, without encryption."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks.learners import Fit, Task, UnavailableError, quality
from benchmarks.measuring import Seconds, peak_bytes, restart_peak

try:
    from fedtree import FLClassifier
except (ImportError, OSError) as error:
    raise UnavailableError(
        f"fedtree cannot be loaded: {error}"
        + ("; apt-get install libntl44" if "libntl" in str(error) else "")
    ) from error

if TYPE_CHECKING:
    from benchmarks.datasets import Floats, Table

_GAP: Final = -99.0
"""Stands for a gap, which FedTree refuses; categories go in as their numbers."""


def fit(table: Table, task: Task) -> Fit:
    """Train over ``task.sites`` parties; binning is part of its ``fit``."""
    booster = FLClassifier(
        n_trees=task.trees,
        max_depth=6,
        max_num_bin=255,
        learning_rate=0.1,
        min_child_weight=1.0,
        lambda_ft=0.0,
        gamma=0.0,
        n_parties=task.sites,
        n_hori=task.sites,
        mode="horizontal",
        privacy_tech="none",
        objective="binary:logistic",
        verbose=0,
    )
    values, labels = _filled(table, 0, table.rows), table.labels(0, table.rows)
    baseline = restart_peak()
    began = Seconds.here()
    booster.fit(values, labels)
    ended, peak = Seconds.here(), peak_bytes()

    def predict(start: int, stop: int) -> Any:
        return booster.predict_proba(_filled(table, start, stop))[:, 1]

    return Fit(
        binning=None,
        boosting=ended.since(began),
        baseline=baseline,
        peak=peak,
        quality=quality(table, task, predict),
    )


def _filled(table: Table, start: int, stop: int) -> Floats:
    return np.nan_to_num(table.matrix(start, stop), nan=_GAP)

"""One module a learner: ``fit(table, task)`` trains it once and says what that took."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

    from benchmarks.datasets import Table
    from benchmarks.measuring import Seconds


class UnavailableError(Exception):
    """A learner, an objective or a data set is not on this machine; the text says why."""


@dataclass(frozen=True, slots=True)
class Task:
    """What is asked of a learner. ``sites`` matters to the federated ones alone.

    ``objective``: binary, measured by AUC, or poisson, measured by RMSE. ``streamed``: the rows
    are read from disk while binning, instead of being in memory before.
    """

    trees: int = 100
    threads: int = 1
    sites: int = 1
    objective: str = "binary"
    learning_rate: float = 0.1
    streamed: bool = False


@dataclass(frozen=True, slots=True)
class Fit:
    """One training. ``binning`` is None where a learner does not do it apart from boosting.

    ``quality``: AUC or RMSE on the test rows. ``baseline``: bytes resident before the fit, rows
    in memory among them; ``peak``: most during it; ``boosting_peak``: most after the bins were
    agreed; ``codes``: bytes of the binned rows.
    ``model``: a hash, where equal models are promised.
    """

    binning: Seconds | None
    boosting: Seconds
    baseline: int
    peak: int
    quality: float
    boosting_peak: int = 0
    codes: int = 0
    model: str = ""


def quality(table: Table, task: Task, predict: Callable[[int, int], NDArray[Any]]) -> float:
    """Judge ``predict(start, stop)`` on the table's test rows.

    ``predict`` gives anything that rises with the probability, or for poisson the expected count.
    """
    start, stop = table.rows, table.rows + table.test_rows
    labels, predictions = table.labels(start, stop), np.asarray(predict(start, stop))
    if task.objective == "poisson":
        return float(np.sqrt(np.mean((labels - predictions) ** 2)))
    return auc(labels, predictions)


def auc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Area under the ROC curve, ties counted half (the rank-sum statistic)."""
    positive = np.asarray(labels) == 1
    _, groups, sizes = np.unique(np.asarray(scores), return_inverse=True, return_counts=True)
    ranks = (np.cumsum(sizes) - (sizes - 1) / 2)[groups]
    n, m = int(positive.sum()), int((~positive).sum())
    return float((ranks[positive].sum() - n * (n + 1) / 2) / (n * m))

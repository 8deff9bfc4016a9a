"""How well scores rank: AUC from rows at hand, exactly, with DeLong's intervals."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from fed_audience.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

CONFIDENCE: Final = 0.95
"""Of every interval."""


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate, its standard error and the interval at CONFIDENCE."""

    estimate: float
    standard_error: float
    low: float
    high: float


def auc(labels: ArrayLike, scores: ArrayLike) -> float | None:
    """Probability that a positive outranks a negative, ties half; None when a class is missing.

    Exact (Mann-Whitney). ``labels``: [n], 0 or 1; ``scores``: [n]. Raises DataError for NaN.
    """
    interval = auc_interval(labels, scores)
    return interval.estimate if interval else None


def auc_interval(labels: ArrayLike, scores: ArrayLike) -> Interval | None:
    """AUC and its interval (DeLong, DeLong and Clarke-Pearson 1988); None for one class only."""
    placements = _placements(labels, scores)
    if placements is None:
        return None
    of_positives, of_negatives = placements
    variance = _mean_variance(of_positives) + _mean_variance(of_negatives)
    return interval_of(float(of_positives.mean()), variance, low=0.0)


def auc_difference(labels: ArrayLike, first: ArrayLike, second: ArrayLike) -> Interval | None:
    """AUC of ``first`` minus AUC of ``second`` on the same rows, with DeLong's paired interval."""
    a, b = _placements(labels, first), _placements(labels, second)
    if a is None or b is None:
        return None
    variance = _mean_variance(a[0] - b[0]) + _mean_variance(a[1] - b[1])
    return interval_of(float(a[0].mean() - b[0].mean()), variance, low=-1.0)


def _placements(labels: ArrayLike, scores: ArrayLike) -> tuple[Floats, Floats] | None:
    """For each positive the share of negatives it outranks, for each negative the converse."""
    truth = np.asarray(labels) > 0
    values = np.asarray(scores, dtype=np.float64)
    check_lengths(truth, values)
    if np.isnan(values).any():
        raise nan_score()
    positives, negatives = values[truth], values[~truth]
    if positives.size == 0 or negatives.size == 0:
        return None
    order_of_positives, order_of_negatives = np.argsort(positives), np.argsort(negatives)
    return (
        _outranked(positives, order_of_positives, negatives[order_of_negatives]),
        1.0 - _outranked(negatives, order_of_negatives, positives[order_of_positives]),
    )


def _outranked(values: Floats, order: NDArray[np.int64], others: Floats) -> Floats:
    """Share of the sorted ``others`` below each value, equal ones half; ``order`` sorts values."""
    ascending = values[order]
    below = np.searchsorted(others, ascending, side="left")
    not_above = np.searchsorted(others, ascending, side="right")
    shares = np.empty(values.size)
    shares[order] = (below + not_above) / (2.0 * others.size)
    return shares


def _mean_variance(sample: Floats) -> float:
    """Variance of the sample's mean; infinite for a sample of one."""
    return float(sample.var(ddof=1) / sample.size) if sample.size > 1 else np.inf


def interval_of(estimate: float, variance: float, *, low: float, bound: float = 0.0) -> Interval:
    """Interval at CONFIDENCE, widened by ``bound``, kept within ``low`` and 1."""
    error = float(np.sqrt(variance))
    reach = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2) * error + bound
    return Interval(estimate, error, max(low, estimate - reach), min(1.0, estimate + reach))


def check_lengths(labels: NDArray[Any], scores: NDArray[Any]) -> None:
    """Raise DataError unless there is one score for each label."""
    if labels.shape != scores.shape:
        raise DataError(
            "labels and scores differ in length",
            value=f"{labels.shape} and {scores.shape}",
            fix="pass one score for each label",
        )


def nan_score() -> DataError:
    """Error for a score that is not a number."""
    return DataError("a score is not a number", fix="score the rows with a model of finite leaves")

"""How good predictions are, for each objective, from the rows at hand.

A measure is the AUC, or a mean over rows (its root for the RMSE). Both come with intervals, and
two models are compared on the same rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from fed_audience.gbdt.evaluation import Interval, auc_difference, auc_interval
from fed_audience.gbdt.evaluation.ranking import CONFIDENCE

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from fed_audience.gbdt.parameters import TrainingParameters

Floats: TypeAlias = "npt.NDArray[np.float64]"
Labels: TypeAlias = "npt.NDArray[Any]"

_LEAST_PROBABILITY: Final = 1e-15


@dataclass(frozen=True, slots=True)
class Measure:
    """One number of a model's raw scores over rows.

    ``of_rows``: each row's loss (or hit), float64[n], from labels [n] and raw scores [n] or [K, n];
    None for the AUC, which is of pairs. ``rooted``: the square root of their mean.
    """

    name: str
    title: str
    of_rows: Callable[[Labels, Floats], Floats] | None
    rooted: bool = False
    higher_is_better: bool = False

    def value(self, labels: Labels, scores: Floats) -> float | None:
        """Return the measure; None where it is not defined."""
        interval = self.interval(labels, scores)
        return interval.estimate if interval else None

    def interval(self, labels: Labels, scores: Floats) -> Interval | None:
        """Return the measure with its interval; None where it is not defined."""
        if self.of_rows is None:
            return auc_interval(labels, scores)
        rows = self.of_rows(labels, scores)
        if not rows.size:
            return None
        mean = _mean(rows)
        root = np.sqrt(mean.estimate)
        return _scaled(mean, root, 2.0 * root) if self.rooted else mean

    def advantage(self, labels: Labels, one: Floats, other: Floats) -> Interval | None:
        """How much better ``one`` is than ``other`` on the same rows; None where undefined."""
        if self.of_rows is None:
            return auc_difference(labels, one, other)
        a, b = self.of_rows(labels, one), self.of_rows(labels, other)
        if not a.size:
            return None
        mean = _mean(a - b if self.higher_is_better else b - a)
        if not self.rooted:
            return mean
        # a^2 - b^2 = (a - b) (a + b)
        total = np.sqrt(a.mean()) + np.sqrt(b.mean())
        return _scaled(mean, mean.estimate / total if total else 0.0, total)


def measures_of(parameters: TrainingParameters) -> tuple[Measure, ...]:
    """Return the measures of an objective; the first one judges."""
    if parameters.objective == "binary":
        return AUC, LOG_LOSS
    if parameters.objective == "multiclass":
        return CLASS_LOG_LOSS, ACCURACY
    if parameters.objective == "regression":
        return _rmse(_plain), _mae(_plain)
    power = parameters.tweedie_variance_power if parameters.objective == "tweedie" else 1.0

    def deviance(labels: Labels, scores: Floats) -> Floats:
        return _deviance(labels, np.exp(scores), power)

    return Measure("deviance", "deviance", deviance), _rmse(np.exp), _mae(np.exp)


def _log_loss(labels: Labels, scores: Floats) -> Floats:
    wrong = np.where(labels > 0, -scores, scores)
    return np.asarray(np.minimum(np.logaddexp(0.0, wrong), -np.log(_LEAST_PROBABILITY)))


def _class_log_loss(labels: Labels, scores: Floats) -> Floats:
    highest = scores.max(axis=0)
    total = highest + np.log(np.exp(scores - highest).sum(axis=0))
    own = scores[labels.astype(np.intp), np.arange(scores.shape[1])]
    return np.asarray(np.minimum(total - own, -np.log(_LEAST_PROBABILITY)))


def _hits(labels: Labels, scores: Floats) -> Floats:
    return np.asarray(scores.argmax(axis=0) == labels, dtype=np.float64)


def _plain(scores: Floats) -> Floats:
    return scores


def _rmse(link: Callable[[Floats], Floats]) -> Measure:
    return Measure("rmse", "RMSE", lambda y, s: (y - link(s)) ** 2, rooted=True)


def _mae(link: Callable[[Floats], Floats]) -> Measure:
    return Measure("mae", "MAE", lambda y, s: np.abs(y - link(s)))


def _deviance(labels: Labels, mean: Floats, power: float) -> Floats:
    """Tweedie's unit deviance (Jorgensen 1987); Poisson's at power 1."""
    if power == 1.0:
        logs = np.log(np.where(labels > 0, labels / mean, 1.0))
        return 2.0 * (labels * logs - labels + mean)
    return 2.0 * (
        labels ** (2.0 - power) / ((1.0 - power) * (2.0 - power))
        - labels * mean ** (1.0 - power) / (1.0 - power)
        + mean ** (2.0 - power) / (2.0 - power)
    )


def _mean(rows: Floats) -> Interval:
    error = float(rows.std(ddof=1) / np.sqrt(rows.size)) if rows.size > 1 else np.inf
    return _around(float(rows.mean()), error)


def _scaled(interval: Interval, estimate: float, divisor: float) -> Interval:
    return _around(float(estimate), interval.standard_error / divisor if divisor else 0.0)


def _around(estimate: float, error: float) -> Interval:
    reach = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2) * error
    return Interval(estimate, error, estimate - reach, estimate + reach)


AUC: Final = Measure("auc", "AUC", None, higher_is_better=True)
LOG_LOSS: Final = Measure("logloss", "log loss", _log_loss)
CLASS_LOG_LOSS: Final = Measure("logloss", "log loss", _class_log_loss)
ACCURACY: Final = Measure("accuracy", "accuracy", _hits, higher_is_better=True)

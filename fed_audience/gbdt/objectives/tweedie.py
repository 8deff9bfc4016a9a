"""Tweedie deviance of power 1 to 2: many zeros and a long tail; raw scores are logs of means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numba import njit

from fed_audience.gbdt.arithmetic import exp, exps, fixed_loss, log, log_of_normal, logs
from fed_audience.gbdt.objectives.objective import row_weight
from fed_audience.gbdt.objectives.unbounded import LogLink, beyond, packed_pair

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

_HEADROOM = 16.0


@dataclass(frozen=True)
class Tweedie(LogLink):
    """Labels are amounts from 0; variance grows as the mean to the power ``variance_power``.

    With a = y e^((1 - p) s) and b = e^((2 - p) s): gradient b - a, hessian (p - 1) a + (2 - p) b,
    as in LightGBM. The loss is the deviance 2 (y^(2 - p) / ((1 - p) (2 - p)) + a / (p - 1) +
    b / (2 - p)) (Jorgensen 1997); its derivative is twice the gradient.
    """

    variance_power: float = 1.5

    name: ClassVar[str] = "tweedie"

    @property
    def text(self) -> str:
        """The objective's line in a LightGBM model text."""
        return "tweedie"

    @property
    def gradient_cap(self) -> float:
        """16 label caps: a exceeds the label where the mean is below 1, by 16 at 1/256 and p 1.5.

        At least 1, because b is up to 1 where all labels are small.
        """
        return max(_HEADROOM * self.label_cap, 1.0)

    @property
    def hessian_cap(self) -> float:
        """The gradient cap: a hessian is no larger than the larger of a and b."""
        return self.gradient_cap

    @property
    def loss_cap(self) -> float:
        """64 gradient caps: a / (p - 1) and b / (2 - p) are larger than a and b."""
        return 64.0 * self.gradient_cap

    def deviances(self, scores: Floats, labels: Floats) -> Floats:
        """Tweedie deviance of each row."""
        out = np.empty(labels.size)
        _deviances(scores, labels, self.variance_power, out)
        return out

    def own_terms(self, labels: Floats) -> Floats:
        """Return y^(2 - p) of each label, 0 for 0."""
        powers = exps((2.0 - self.variance_power) * logs(np.where(labels > 0.0, labels, 1.0)))
        return np.where(labels > 0.0, powers, 0.0)

    def deviance_of_mean(self, own: float, mean: float, rows: int) -> float:
        """Deviance with e^s the mean: a and b then sum to the same."""
        if not mean > 0.0:
            return 0.0
        rest = 2.0 - self.variance_power
        power = float(exp(rest * float(log(mean))))
        return 2.0 * (rows * power - own) / ((self.variance_power - 1.0) * rest)

    def _pairs(self, scores: Floats, labels: Floats, weights: Floats, out: Integers) -> bool:
        p = self.variance_power
        return _pairs(scores, labels, weights, self.weight_cap, p, self.caps, self.units, out)

    def _clipped(self, scores: Floats, labels: Floats) -> int:
        return int(_clipped(scores, labels, self.variance_power, self.caps))

    def _loss(self, scores: Floats, labels: Floats, weights: Floats, factor: float) -> int:
        return int(_loss_sum(scores, labels, weights, self.variance_power, self.loss_cap, factor))


@njit(nogil=True, cache=True, error_model="numpy")
def _pairs(
    scores: Floats,
    labels: Floats,
    weights: Floats,
    weight_cap: float,
    power: float,
    caps: tuple[float, float],
    units: tuple[float, float],
    out: Integers,
) -> bool:
    light = np.int64(0)
    for i in range(np.uint64(scores.size)):
        weight = row_weight(weights, i)
        light += np.int64(weight <= weight_cap)
        a = labels[i] * exp((1.0 - power) * scores[i])
        b = exp((2.0 - power) * scores[i])
        out[i] = packed_pair(b - a, (power - 1.0) * a + (2.0 - power) * b, weight, caps, units)
    return light == scores.size


@njit(nogil=True, cache=True, error_model="numpy")
def _clipped(scores: Floats, labels: Floats, power: float, caps: tuple[float, float]) -> np.int64:
    rows = np.int64(0)
    for i in range(np.uint64(scores.size)):
        a = labels[i] * exp((1.0 - power) * scores[i])
        b = exp((2.0 - power) * scores[i])
        rows += beyond(b - a, (power - 1.0) * a + (2.0 - power) * b, caps)
    return rows


@njit(nogil=True, cache=True, error_model="numpy", inline="always")
def deviance(score: float, label: float, power: float) -> float:
    """Deviance of a label y >= 0 and a finite score, for a power strictly between 1 and 2."""
    own = exp((2.0 - power) * log_of_normal(label)) if label > 0.0 else 0.0
    a = label * exp((1.0 - power) * score)
    b = exp((2.0 - power) * score)
    half = (a - own / (2.0 - power)) / (power - 1.0) + b / (2.0 - power)
    return 2.0 * half if half > 0.0 else 0.0


@njit(nogil=True, cache=True, error_model="numpy")
def _loss_sum(
    scores: Floats, labels: Floats, weights: Floats, power: float, cap: float, factor: float
) -> np.int64:
    total = np.int64(0)
    for i in range(np.uint64(scores.size)):
        loss = deviance(scores[i], labels[i], power)
        total += fixed_loss(loss, cap, row_weight(weights, i) * factor)
    return total


@njit(nogil=True, cache=True, error_model="numpy")
def _deviances(scores: Floats, labels: Floats, power: float, out: Floats) -> None:
    for i in range(np.uint64(scores.size)):
        out[i] = deviance(scores[i], labels[i], power)

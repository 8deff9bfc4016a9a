"""Poisson deviance: raw scores are logarithms of rates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numba import njit

from fed_audience.gbdt.arithmetic import exp, fixed_loss, log, log_of_normal, logs
from fed_audience.gbdt.objectives.objective import row_weight
from fed_audience.gbdt.objectives.unbounded import LogLink, beyond, packed_pair, power_of_two_above

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Poisson(LogLink):
    """Labels are counts, or any amounts from 0; gradient e^s - y, hessian e^(s + step).

    ``max_delta_step`` makes the hessian safe for a step that long, as in LightGBM. The loss is
    the deviance 2 (y ln(y / e^s) - y + e^s); its derivative is twice the gradient.
    """

    max_delta_step: float = 0.7

    name: ClassVar[str] = "poisson"

    @property
    def text(self) -> str:
        """The objective's line in a LightGBM model text."""
        return "poisson"

    @property
    def gradient_cap(self) -> float:
        """The label cap: only a rate or a label beyond it can have a larger gradient."""
        return self.label_cap

    @property
    def hessian_cap(self) -> float:
        """Hessian of a rate at the label cap: one whose gradient is not clipped keeps it whole."""
        return self.label_cap * power_of_two_above(float(exp(self.max_delta_step)))

    @property
    def loss_cap(self) -> float:
        """A label at the cap whose rate is e^-32 of it."""
        return 64.0 * self.label_cap

    def deviances(self, scores: Floats, labels: Floats) -> Floats:
        """Poisson deviance of each row."""
        out = np.empty(labels.size)
        _deviances(scores, labels, out)
        return out

    def own_terms(self, labels: Floats) -> Floats:
        """Return y ln y of each label, 0 for 0."""
        return labels * logs(np.where(labels > 0.0, labels, 1.0))

    def deviance_of_mean(self, own: float, mean: float, rows: int) -> float:
        """2 (sum of y ln y - ln(mean) sum of y): the other two terms cancel."""
        return 2.0 * (own - mean * rows * float(log(mean))) if mean > 0.0 else 0.0

    def _pairs(self, scores: Floats, labels: Floats, weights: Floats, out: Integers) -> bool:
        step = float(exp(self.max_delta_step))
        return _pairs(scores, labels, weights, self.weight_cap, step, self.caps, self.units, out)

    def _clipped(self, scores: Floats, labels: Floats) -> int:
        return int(_clipped(scores, labels, float(exp(self.max_delta_step)), self.caps))

    def _loss(self, scores: Floats, labels: Floats, weights: Floats, factor: float) -> int:
        return int(_loss_sum(scores, labels, weights, self.loss_cap, factor))


@njit(nogil=True, cache=True, error_model="numpy")
def _pairs(
    scores: Floats,
    labels: Floats,
    weights: Floats,
    weight_cap: float,
    step: float,
    caps: tuple[float, float],
    units: tuple[float, float],
    out: Integers,
) -> bool:
    light = np.int64(0)
    for i in range(np.uint64(scores.size)):
        weight = row_weight(weights, i)
        light += np.int64(weight <= weight_cap)
        rate = exp(scores[i])
        out[i] = packed_pair(rate - labels[i], rate * step, weight, caps, units)
    return light == scores.size


@njit(nogil=True, cache=True, error_model="numpy")
def _clipped(scores: Floats, labels: Floats, step: float, caps: tuple[float, float]) -> np.int64:
    rows = np.int64(0)
    for i in range(np.uint64(scores.size)):
        rate = exp(scores[i])
        rows += beyond(rate - labels[i], rate * step, caps)
    return rows


@njit(nogil=True, cache=True, error_model="numpy", inline="always")
def deviance(score: float, label: float) -> float:
    """2 (y ln(y / e^s) - y + e^s) of a label y >= 0 and a finite score s."""
    own = label * (log_of_normal(label if label > 0.0 else 1.0) - score) - label
    half = own + exp(score)
    return 2.0 * half if half > 0.0 else 0.0


@njit(nogil=True, cache=True, error_model="numpy")
def _loss_sum(
    scores: Floats, labels: Floats, weights: Floats, cap: float, factor: float
) -> np.int64:
    total = np.int64(0)
    for i in range(np.uint64(scores.size)):
        loss = deviance(scores[i], labels[i])
        total += fixed_loss(loss, cap, row_weight(weights, i) * factor)
    return total


@njit(nogil=True, cache=True, error_model="numpy")
def _deviances(scores: Floats, labels: Floats, out: Floats) -> None:
    for i in range(np.uint64(scores.size)):
        out[i] = deviance(scores[i], labels[i])

"""Squared error: raw scores are the predictions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np
from numba import njit

from fed_audience.gbdt.arithmetic import fixed_loss
from fed_audience.gbdt.fixed_point import FixedPoint, widest_scale
from fed_audience.gbdt.objectives.objective import row_weight
from fed_audience.gbdt.objectives.unbounded import Unbounded, beyond, packed_pair

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

_GRADIENT_SCALE: Final = 2**20
_HESSIAN_SCALE: Final = 2**16


@dataclass(frozen=True)
class Regression(Unbounded):
    """Labels are any numbers; gradient s - y, hessian 1, loss (s - y)^2."""

    name: ClassVar[str] = "regression"

    @property
    def text(self) -> str:
        """The objective's line in a LightGBM model text."""
        return "regression"

    @property
    def gradient_cap(self) -> float:
        """The label cap: a residual beyond it comes from a label or score beyond it."""
        return self.label_cap

    @property
    def hessian_cap(self) -> float:
        """1, the hessian of every row."""
        return 1.0

    @property
    def loss_cap(self) -> float:
        """The square of the label cap."""
        return self.label_cap * self.label_cap

    @property
    def fixed(self) -> FixedPoint:
        """Gradients in 2^-20 of the label cap; hessians, the weight alone, in 2^-16 of its cap."""
        scale = min(_GRADIENT_SCALE, widest_scale(self.row_cap))
        return FixedPoint(
            self.gradient_cap * self.weight_cap / scale,
            self.weight_cap / _HESSIAN_SCALE,
            scale,
            _HESSIAN_SCALE,
        )

    def label_problem(self, labels: Floats) -> str | None:
        """Say in words what is wrong with the labels, float64[n]; None when nothing is."""
        return None if np.isfinite(labels).all() else "a label is missing or infinite"

    def link(self, mean: float) -> float:
        """Raw score that predicts ``mean``: itself."""
        return mean

    def mean_of(self, score: float) -> float:
        """Mean that a raw score predicts: itself."""
        return score

    def predict(self, scores: Floats) -> Floats:
        """Raw scores as they are."""
        return scores

    def deviances(self, scores: Floats, labels: Floats) -> Floats:
        """Squared error of each row."""
        residuals = scores - labels
        return residuals * residuals

    def own_terms(self, labels: Floats) -> Floats:
        """Square of each label."""
        return labels * labels

    def deviance_of_mean(self, own: float, mean: float, rows: int) -> float:
        """Squared distance of all labels from their mean."""
        return own - rows * mean * mean

    def _pairs(self, scores: Floats, labels: Floats, weights: Floats, out: Integers) -> bool:
        return _pairs(scores, labels, weights, self.weight_cap, self.caps, self.units, out)

    def _clipped(self, scores: Floats, labels: Floats) -> int:
        return int(_clipped(scores, labels, self.caps))

    def _loss(self, scores: Floats, labels: Floats, weights: Floats, factor: float) -> int:
        return int(_loss_sum(scores, labels, weights, self.loss_cap, factor))


@njit(nogil=True, cache=True, error_model="numpy")
def _pairs(
    scores: Floats,
    labels: Floats,
    weights: Floats,
    weight_cap: float,
    caps: tuple[float, float],
    units: tuple[float, float],
    out: Integers,
) -> bool:
    light = np.int64(0)
    for i in range(np.uint64(scores.size)):
        weight = row_weight(weights, i)
        light += np.int64(weight <= weight_cap)
        out[i] = packed_pair(scores[i] - labels[i], 1.0, weight, caps, units)
    return light == scores.size


@njit(nogil=True, cache=True, error_model="numpy")
def _clipped(scores: Floats, labels: Floats, caps: tuple[float, float]) -> np.int64:
    rows = np.int64(0)
    for i in range(np.uint64(scores.size)):
        rows += beyond(scores[i] - labels[i], 1.0, caps)
    return rows


@njit(nogil=True, cache=True, error_model="numpy")
def _loss_sum(
    scores: Floats, labels: Floats, weights: Floats, cap: float, factor: float
) -> np.int64:
    total = np.int64(0)
    for i in range(np.uint64(scores.size)):
        residual = scores[i] - labels[i]
        total += fixed_loss(residual * residual, cap, row_weight(weights, i) * factor)
    return total

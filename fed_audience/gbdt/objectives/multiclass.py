"""Softmax over K classes: a raw score a class, K trees an iteration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np
from numba import njit

from fed_audience.errors import DataError
from fed_audience.gbdt.arithmetic import LOSS_BITS, LOSS_CAP, exp, fixed_loss, log, log_of_normal
from fed_audience.gbdt.evaluation.multiclass import (
    MulticlassMetrics,
    multiclass_size,
    multiclass_sums,
)
from fed_audience.gbdt.fixed_point import FixedPoint, gradient_scale
from fed_audience.gbdt.kernels.flushing import HESSIAN_BITS
from fed_audience.gbdt.kernels.team import ALONE
from fed_audience.gbdt.objectives.objective import (
    BASE_PRIOR_ROWS,
    NO_WEIGHTS,
    Objective,
    fixed_weight,
    fixed_weights,
    row_weight,
    share_out,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fed_audience.gbdt.kernels.team import Team

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

LEAST_SHARE: Final = 1e-15
"""Share of a class that no training row has (LightGBM's kEpsilon)."""

_BLOCK_ROWS: Final = 256


@dataclass(frozen=True)
class Multiclass(Objective):
    """Labels are 0 to K - 1. Gradient of class k: p_k - [y = k]; hessian K / (K - 1) p_k (1 - p_k).

    The factor of the hessian is LightGBM's (Friedman 2001, section 4.6). The loss is -ln p_y.
    """

    num_class: int = 2

    name: ClassVar[str] = "multiclass"
    bounded: ClassVar[bool] = True

    @property
    def classes(self) -> int:
        """Trees of an iteration, K."""
        return self.num_class

    @property
    def text(self) -> str:
        """The objective's line in a LightGBM model text."""
        return f"multiclass num_class:{self.num_class}"

    @property
    def _factor(self) -> float:
        return self.num_class / (self.num_class - 1.0)

    @property
    def fixed(self) -> FixedPoint:
        """Gradients are within 1, hessians within K / (K - 1) / 4, each times its weight."""
        scale = gradient_scale(self.row_cap)
        unit = self.weight_cap / scale
        return FixedPoint(unit, unit, scale, int(np.floor(scale * self._factor / 4 + 0.5)))

    def label_problem(self, labels: Floats) -> str | None:
        """Say in words what is wrong with the labels, float64[n]; None when nothing is."""
        if np.isin(labels, np.arange(self.num_class)).all():
            return None
        return f"a label is not one of the classes 0 to {self.num_class - 1}"

    @property
    def sums_size(self) -> int:
        """Rows, then the weight of each class."""
        return 1 + self.num_class

    def label_sums(self, labels: Floats, weights: Floats | None) -> Integers:
        """Rows, then the weight of each class in ``weight_unit``: int64[1 + K]."""
        if weights is None:
            units = np.full(labels.size, fixed_weight(1.0, self.weight_cap))
        else:
            units = fixed_weights(weights, self.weight_cap)
        of_class = [units[labels == k].sum() for k in range(self.num_class)]
        return np.array([labels.size, *of_class], dtype=np.int64)

    def base_scores(self, sums: Integers) -> tuple[float, ...]:
        """Logarithm of each class's share; DataError unless two classes are present.

        A class without a row has LEAST_SHARE.
        """
        of_class = [int(value) for value in sums[1:]]
        present = sum(weight > 0 for weight in of_class)
        if present < 2:  # noqa: PLR2004 - one class has nothing to be told from
            raise DataError(
                "the training rows of all sites hold one class only",
                value=f"{present} of {self.num_class} classes in {int(sums[0])} rows",
                fix="check the label column and num_class",
            )
        total = sum(of_class)
        return tuple(float(log(max(weight / total, LEAST_SHARE))) for weight in of_class)

    def shrunk_base_scores(self, own: Integers, base: tuple[float, ...]) -> tuple[float, ...]:
        """Logarithm of the brand's shares, with BASE_PRIOR_ROWS rows shared out as ``base``."""
        rows, *of_class = (int(value) for value in own)
        if rows == 0:
            return base
        total = sum(of_class)
        prior = BASE_PRIOR_ROWS * (total / rows)
        return tuple(
            float(log((weight + prior * share) / (total + prior)))
            for weight, share in zip(of_class, self.predict(np.array(base)).tolist(), strict=True)
        )

    def gradient_pairs(
        self,
        scores: Floats,
        labels: Floats,
        weights: Floats | None,
        out: Integers,
        *,
        team: Team = ALONE,
    ) -> None:
        """Fill ``out``, int64[K, n], with ``gradient << 32 | hessian`` of every class."""

        def job(begin: int, end: int) -> bool:
            return _gradient_pairs(
                scores,
                labels,
                NO_WEIGHTS if weights is None else weights,
                (begin, end),
                self._factor,
                self.weight_cap,
                gradient_scale(self.row_cap) / self.weight_cap,
                out,
            )

        share_out(labels.size, job, team)

    def loss_sum(self, scores: Floats, labels: Floats, weights: Floats | None) -> int:
        """Weighted -ln p_y of the rows, in units of ``loss_unit``."""
        row_weights = NO_WEIGHTS if weights is None else weights
        return int(_loss_sum(scores, labels, row_weights, (1 << LOSS_BITS) / self.weight_cap))

    @property
    def evaluation_size(self) -> int:
        """A score histogram a class, the confusion matrix and the loss."""
        return multiclass_size(self.num_class)

    def evaluation(self, scores: Floats, labels: Floats) -> Integers:
        """Histograms of each class against the rest, confusion, loss in 2^-LOSS_BITS."""
        loss = int(_loss_sum(scores, labels, NO_WEIGHTS, float(1 << LOSS_BITS)))
        return multiclass_sums(labels, self.predict(scores), loss)

    def metrics(self, sums: Integers) -> MulticlassMetrics:
        """Quality of probabilities, from summed ``evaluation`` vectors."""
        return MulticlassMetrics.from_sums(self.num_class, sums)

    def predict(self, scores: Floats) -> Floats:
        """Probability of each class, along the first axis of float64[K, n] or [K]."""
        out = np.ascontiguousarray(scores.reshape(self.num_class, -1)).copy()
        _softmax(out)
        return out.reshape(scores.shape)


@njit(nogil=True, cache=True, error_model="numpy", inline="always")
def _shifted_exps(
    scores: Floats, begin: int, rows: int, top: Floats, out: Floats, total: Floats
) -> None:
    """Fill ``out[:, :rows]`` with e^(s_k - top) and ``total`` with their sums; top: the largest."""
    for i in range(np.uint64(rows)):
        top[i] = scores[0, begin + i]
    for k in range(1, scores.shape[0]):
        for i in range(np.uint64(rows)):
            top[i] = max(top[i], scores[k, begin + i])
    for i in range(np.uint64(rows)):
        total[i] = 0.0
    for k in range(scores.shape[0]):
        for i in range(np.uint64(rows)):
            e = exp(scores[k, begin + i] - top[i])
            out[k, i] = e
            total[i] += e


@njit(nogil=True, cache=True, error_model="numpy")
def _gradient_pairs(
    scores: Floats,
    labels: Floats,
    weights: Floats,
    span: tuple[int, int],
    factor: float,
    cap: float,
    scale: float,
    out: Integers,
) -> bool:
    exps = np.empty((scores.shape[0], _BLOCK_ROWS))
    top, total = np.empty((2, _BLOCK_ROWS))
    unit = np.empty(_BLOCK_ROWS)
    light = np.int64(0)
    begin, end = span
    for start in range(begin, end, _BLOCK_ROWS):
        rows = min(_BLOCK_ROWS, end - start)
        _shifted_exps(scores, start, rows, top, exps, total)
        for i in range(np.uint64(rows)):
            weight = row_weight(weights, start + i)
            light += np.int64(weight <= cap)
            unit[i] = weight * scale
        for k in range(scores.shape[0]):
            for i in range(np.uint64(rows)):
                p = exps[k, i] / total[i]
                truth = 1.0 if labels[start + i] == k else 0.0
                gradient = np.int64(np.floor((p - truth) * unit[i] + 0.5))
                hessian = np.int64(np.floor(factor * (p * (1.0 - p)) * unit[i] + 0.5))
                out[k, start + i] = (gradient << HESSIAN_BITS) + max(hessian, np.int64(1))
    return light == end - begin


@njit(nogil=True, cache=True, error_model="numpy")
def _loss_sum(scores: Floats, labels: Floats, weights: Floats, factor: float) -> np.int64:
    exps = np.empty((scores.shape[0], _BLOCK_ROWS))
    top, total = np.empty((2, _BLOCK_ROWS))
    loss = np.int64(0)
    for start in range(0, labels.size, _BLOCK_ROWS):
        rows = min(_BLOCK_ROWS, labels.size - start)
        _shifted_exps(scores, start, rows, top, exps, total)
        for i in range(rows):
            top[i] -= scores[np.int64(labels[start + i]), start + i]
        for i in range(np.uint64(rows)):
            row = log_of_normal(total[i]) + top[i]
            loss += fixed_loss(row, LOSS_CAP, row_weight(weights, start + i) * factor)
    return loss


@njit(nogil=True, cache=True, error_model="numpy")
def _softmax(scores: Floats) -> None:
    exps = np.empty((scores.shape[0], _BLOCK_ROWS))
    top, total = np.empty((2, _BLOCK_ROWS))
    for start in range(0, scores.shape[1], _BLOCK_ROWS):
        rows = min(_BLOCK_ROWS, scores.shape[1] - start)
        _shifted_exps(scores, start, rows, top, exps, total)
        for k in range(scores.shape[0]):
            for i in range(rows):
                scores[k, start + i] = exps[k, i] / total[i]

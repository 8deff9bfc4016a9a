"""Log loss of two classes: raw scores are log-odds of the label 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numba import njit

from fed_audience.errors import DataError
from fed_audience.gbdt.arithmetic import (
    LOSS_BITS,
    log,
    logloss_fixed,
    sigmoid,
    sigmoids,
)
from fed_audience.gbdt.evaluation.binary import Metrics
from fed_audience.gbdt.evaluation.score_histogram import SCORE_BINS, score_histogram
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


@dataclass(frozen=True)
class Binary(Objective):
    """Labels 0 and 1; positives weigh ``scale_pos_weight`` times as much.

    As in LightGBM the factor is on gradients, hessians and losses, but not on the base score.
    """

    scale_pos_weight: float = 1.0

    name: ClassVar[str] = "binary"
    bounded: ClassVar[bool] = True

    @property
    def text(self) -> str:
        """The objective's line in a LightGBM model text."""
        return "binary sigmoid:1"

    @property
    def fixed(self) -> FixedPoint:
        """Gradients p - y are within 1, hessians p (1 - p) within 1/4, each times its weight."""
        scale = gradient_scale(self.row_cap)
        unit = self.weight_cap / scale
        return FixedPoint(unit, unit, scale, scale // 4)

    @property
    def heaviest(self) -> float:
        """Largest factor that the objective itself puts on the weight of a row."""
        return max(self.scale_pos_weight, 1.0)

    def label_problem(self, labels: Floats) -> str | None:
        """Say in words what is wrong with the labels, float64[n]; None when nothing is."""
        return None if ((labels == 0) | (labels == 1)).all() else "a label is not 0 or 1"

    @property
    def sums_size(self) -> int:
        """Rows, their weight, the weight of the positives."""
        return 3

    def label_sums(self, labels: Floats, weights: Floats | None) -> Integers:
        """Rows, their weight, and the weight of the positives in ``weight_unit``: int64[3]."""
        positives = labels > 0
        if weights is None:
            one = fixed_weight(1.0, self.weight_cap)
            total, found = labels.size * one, int(positives.sum()) * one
        else:
            units = fixed_weights(weights, self.weight_cap)
            total, found = int(units.sum()), int(units[positives].sum())
        return np.array([labels.size, total, found], dtype=np.int64)

    def base_scores(self, sums: Integers) -> tuple[float, ...]:
        """Log-odds of the weighted rate; DataError when only one class is present."""
        rows, total, positives = (int(value) for value in sums)
        if not 0 < positives < total:
            raise DataError(
                "the training rows of all sites hold one class only",
                value=f"{rows if positives else 0} positives of {rows} rows",
                fix="check the label column and the positive value, or widen the label window",
            )
        return (float(log(positives / (total - positives))),)

    def shrunk_base_scores(self, own: Integers, base: tuple[float, ...]) -> tuple[float, ...]:
        """Log-odds of the brand's rate, with BASE_PRIOR_ROWS rows at the rate of ``base``."""
        rows, total, positives = (int(value) for value in own)
        if rows == 0:
            return base
        prior = BASE_PRIOR_ROWS * (total / rows)
        # e^b / (1 + e^b) of them are positive; the ratio needs no 1 - p, which would cancel.
        rate = float(sigmoid(base[0]))
        other = float(sigmoid(-base[0]))
        return (float(log((positives + prior * rate) / (total - positives + prior * other))),)

    def gradient_pairs(
        self,
        scores: Floats,
        labels: Floats,
        weights: Floats | None,
        out: Integers,
        *,
        team: Team = ALONE,
    ) -> None:
        """Fill ``out``, int64[1, n] or [n], with ``gradient << 32 | hessian``: p - y, p (1 - p)."""
        raw, pairs = scores.reshape(-1), out.reshape(-1)

        def job(begin: int, end: int) -> bool:
            return _gradient_pairs(
                raw[begin:end],
                labels[begin:end],
                NO_WEIGHTS if weights is None else weights[begin:end],
                self.scale_pos_weight,
                self.weight_cap,
                gradient_scale(self.row_cap) / self.weight_cap,
                pairs[begin:end],
            )

        share_out(raw.size, job, team)

    def loss_sum(self, scores: Floats, labels: Floats, weights: Floats | None) -> int:
        """Weighted log loss of the rows, in units of ``loss_unit``."""
        row_weights = NO_WEIGHTS if weights is None else weights
        factor = (1 << LOSS_BITS) / self.weight_cap
        return int(
            _loss_sum(scores.reshape(-1), labels, row_weights, self.scale_pos_weight, factor)
        )

    @property
    def evaluation_size(self) -> int:
        """A score histogram and the loss."""
        return 2 * SCORE_BINS + 1

    def evaluation(self, scores: Floats, labels: Floats) -> Integers:
        """Score histogram, negatives then positives, and the loss in 2^-LOSS_BITS."""
        raw = scores.reshape(-1)
        loss = _loss_sum(raw, labels, NO_WEIGHTS, 1.0, float(1 << LOSS_BITS))
        return np.append(score_histogram(labels, raw).ravel(), loss)

    def metrics(self, sums: Integers) -> Metrics:
        """Quality of scores, from summed ``evaluation`` vectors."""
        return Metrics.from_histogram(sums[:-1].reshape(2, -1), int(sums[-1]))

    def predict(self, scores: Floats) -> Floats:
        """Probability of the label 1."""
        return sigmoids(scores)


@njit(nogil=True, cache=True, error_model="numpy")
def _gradient_pairs(
    scores: Floats,
    labels: Floats,
    weights: Floats,
    positive_weight: float,
    cap: float,
    scale: float,
    out: Integers,
) -> bool:
    light = np.int64(0)
    for i in range(np.uint64(scores.size)):
        p = sigmoid(scores[i])
        weight = row_weight(weights, i) * (positive_weight if labels[i] > 0.0 else 1.0)
        light += np.int64(weight <= cap)
        unit = weight * scale
        gradient = np.int64(np.floor((p - labels[i]) * unit + 0.5))
        hessian = max(np.int64(np.floor(p * (1.0 - p) * unit + 0.5)), np.int64(1))
        out[i] = (gradient << HESSIAN_BITS) + hessian
    return light == scores.size


@njit(nogil=True, cache=True, error_model="numpy")
def _loss_sum(
    scores: Floats, labels: Floats, weights: Floats, positive_weight: float, factor: float
) -> np.int64:
    total = np.int64(0)
    for i in range(np.uint64(scores.size)):
        weight = row_weight(weights, i) * (positive_weight if labels[i] > 0.0 else 1.0)
        total += logloss_fixed(labels[i], scores[i], weight * factor)
    return total

"""What regression, Poisson and Tweedie share: labels without a bound of their own, and a mean.

The run agrees on ``label_cap``, a power of two above every training label. It bounds gradients
and hessians, and so fixes the units of all integers.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np
from numba import njit

from fed_audience.errors import DataError
from fed_audience.gbdt.arithmetic import exp, exps, log
from fed_audience.gbdt.evaluation.count_sums import SIZE, CountUnits, count_sums
from fed_audience.gbdt.evaluation.counts import CountMetrics
from fed_audience.gbdt.fixed_point import FixedPoint, row_bits, widest_scale
from fed_audience.gbdt.kernels.flushing import HESSIAN_BITS
from fed_audience.gbdt.kernels.team import ALONE
from fed_audience.gbdt.objectives.objective import (
    BASE_PRIOR_ROWS,
    NO_WEIGHTS,
    WEIGHT_BITS,
    Objective,
    fixed_weight,
    fixed_weights,
    share_out,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fed_audience.gbdt.kernels.team import Team

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

_FINE_UNIT: Final = 2.0**-16
_LEAST_PARTS: Final = 2.0**20
_MOST_PARTS: Final = 2.0**24
_SUM_BITS: Final = 62
_MOST_LABEL_BITS: Final = 30
_MOST_LOSS_BITS: Final = 44


@dataclass(frozen=True)
class Unbounded(Objective):
    """An objective of labels of any size, whose best constant is the link of the mean.

    A label beyond ``label_cap`` counts as the cap in base scores; gradients, hessians and losses
    are clipped to caps that follow from it.
    """

    label_cap: float = 1.0

    bounded: ClassVar[bool] = False

    @property
    @abstractmethod
    def gradient_cap(self) -> float:
        """Largest gradient of a row of weight 1, a power of two."""

    @property
    @abstractmethod
    def hessian_cap(self) -> float:
        """Largest hessian of a row of weight 1, a power of two."""

    @property
    @abstractmethod
    def loss_cap(self) -> float:
        """Largest loss of a row of weight 1, a power of two."""

    @abstractmethod
    def link(self, mean: float) -> float:
        """Raw score that predicts ``mean``; DataError for a mean that no score predicts."""

    @abstractmethod
    def mean_of(self, score: float) -> float:
        """Mean that a raw score predicts: the inverse of ``link``."""

    @property
    def fixed(self) -> FixedPoint:
        """One unit for gradients and hessians: 2^-16 of a label, but 2^-20 to 2^-24 of the cap.

        With 2^-16 a rate of 1/1000 has 65 units. A label cap far above the usual label asks for
        more than 2^20 parts, or rounding moves the mean: beside a cap of 32768, a rate of 2 by
        0.03 % with 2^24 parts and by 3 % with 2^20. More would fill a packed accumulator every
        few hundred rows. A row cap above 2^27 makes the unit coarser.
        """
        parts = min(max(self.label_cap / _FINE_UNIT, _LEAST_PARTS), _MOST_PARTS)
        largest = max(self.gradient_cap, self.hessian_cap)
        unit = max(self.label_cap / parts, largest / widest_scale(self.row_cap))
        return FixedPoint(
            unit * self.weight_cap,
            unit * self.weight_cap,
            int(self.gradient_cap / unit),
            int(self.hessian_cap / unit),
        )

    @property
    def sums_size(self) -> int:
        """Rows, their weight, the weighted sum of their labels."""
        return 3

    @property
    def _label_bits(self) -> int:
        # A label at the cap and a weight at the cap together, over row_cap rows, stay below 2^62.
        return min(_SUM_BITS - WEIGHT_BITS - row_bits(self.row_cap), _MOST_LABEL_BITS)

    def label_sums(self, labels: Floats, weights: Floats | None) -> Integers:
        """Rows, their weight in ``weight_unit``, and the weighted labels: int64[3].

        A label of the cap at a weight of the cap is 2^(WEIGHT_BITS + label bits) units.
        """
        if weights is None:
            units = np.full(labels.size, fixed_weight(1.0, self.weight_cap))
        else:
            units = fixed_weights(weights, self.weight_cap)
        capped = np.clip(labels, -self.label_cap, self.label_cap)
        weighted = capped * (2.0**self._label_bits / self.label_cap) * units
        total = np.floor(weighted + 0.5).astype(np.int64).sum()
        return np.array([labels.size, units.sum(), total], dtype=np.int64)

    def _mean(self, labels: float, weight: float) -> float:
        return labels / weight * (self.label_cap / 2.0**self._label_bits)

    def base_scores(self, sums: Integers) -> tuple[float, ...]:
        """Link of the weighted mean; DataError without rows or without a positive mean."""
        rows, weight, labels = (int(value) for value in sums)
        if rows == 0:
            raise DataError(
                "no site holds a training row",
                fix="check the training tables and who consented to training",
            )
        return (self.link(self._mean(labels, weight)),)

    def shrunk_base_scores(self, own: Integers, base: tuple[float, ...]) -> tuple[float, ...]:
        """Link of the brand's mean, with BASE_PRIOR_ROWS rows at the mean of ``base``."""
        rows, weight, labels = (int(value) for value in own)
        if rows == 0:
            return base
        prior = BASE_PRIOR_ROWS * (weight / rows)
        of_all = self.mean_of(base[0])
        mine = self._mean(labels, weight)
        return (self.link((mine * weight + of_all * prior) / (weight + prior)),)

    @abstractmethod
    def _pairs(self, scores: Floats, labels: Floats, weights: Floats, out: Integers) -> bool:
        """Run the gradient kernel; False when a row is above the weight cap."""

    @abstractmethod
    def _clipped(self, scores: Floats, labels: Floats) -> int:
        """Run the kernel that counts rows beyond the caps."""

    @abstractmethod
    def _loss(self, scores: Floats, labels: Floats, weights: Floats, factor: float) -> int:
        """Run the loss kernel; ``factor`` is units for a loss of 1 at weight 1."""

    def gradient_pairs(
        self,
        scores: Floats,
        labels: Floats,
        weights: Floats | None,
        out: Integers,
        *,
        team: Team = ALONE,
    ) -> None:
        """Fill ``out``, int64[1, n] or [n], with ``gradient << 32 | hessian``, clipped."""
        raw, pairs = scores.reshape(-1), out.reshape(-1)

        def job(begin: int, end: int) -> bool:
            row_weights = NO_WEIGHTS if weights is None else weights[begin:end]
            return self._pairs(raw[begin:end], labels[begin:end], row_weights, pairs[begin:end])

        share_out(raw.size, job, team)

    def clipped(self, scores: Floats, labels: Floats) -> int:
        """Rows whose gradient or hessian was clipped to its cap."""
        return self._clipped(scores.reshape(-1), labels)

    def loss_sum(self, scores: Floats, labels: Floats, weights: Floats | None) -> int:
        """Weighted deviance of the rows, in units of ``loss_unit``."""
        row_weights = NO_WEIGHTS if weights is None else weights
        return self._loss(scores.reshape(-1), labels, row_weights, 1.0 / self.loss_unit)

    @abstractmethod
    def deviances(self, scores: Floats, labels: Floats) -> Floats:
        """Deviance of each row from scores float64[n] and labels float64[n]."""

    @abstractmethod
    def own_terms(self, labels: Floats) -> Floats:
        """Term of each label, whatever is predicted, that ``deviance_of_mean`` needs summed."""

    @abstractmethod
    def deviance_of_mean(self, own: float, mean: float, rows: int) -> float:
        """Deviance of ``rows`` rows predicted their mean, from their summed ``own_terms``."""

    @property
    def count_units(self) -> CountUnits:
        """Units of the evaluation."""
        return CountUnits(self.label_cap, self.loss_cap, self.row_cap)

    @property
    def evaluation_size(self) -> int:
        """Sums by cell of the prediction, and sums of errors."""
        return SIZE

    def evaluation(self, scores: Floats, labels: Floats) -> Integers:
        """Sum rows, labels, predictions and errors; labels beyond the cap are clipped to it."""
        raw, capped = scores.reshape(-1), np.clip(labels, -self.label_cap, self.label_cap)
        deviances, own = self.deviances(raw, capped), self.own_terms(capped)
        return count_sums(self.count_units, labels, self.predict(raw), deviances, own)

    def metrics(self, sums: Integers) -> CountMetrics:
        """Quality of predictions, from summed ``evaluation`` vectors."""
        return CountMetrics.from_sums(self.name, self.count_units, sums, self.deviance_of_mean)

    @property
    def caps(self) -> tuple[float, float]:
        """Largest gradient and hessian of a row of weight 1."""
        return self.gradient_cap, self.hessian_cap

    @property
    def units(self) -> tuple[float, float]:
        """Units of a gradient and of a hessian of 1."""
        return 1.0 / self.fixed.gradient_unit, 1.0 / self.fixed.hessian_unit

    @property
    def _loss_bits(self) -> int:
        return min(_SUM_BITS - row_bits(self.row_cap), _MOST_LOSS_BITS)

    @property
    def loss_unit(self) -> float:
        """Real loss of one unit of ``loss_sum``; a power of two."""
        return self.loss_cap * self.weight_cap / 2.0**self._loss_bits


@dataclass(frozen=True)
class LogLink(Unbounded):
    """An objective of labels from 0 on, whose raw scores are logarithms of the mean."""

    def label_problem(self, labels: Floats) -> str | None:
        """Say in words what is wrong with the labels, float64[n]; None when nothing is."""
        if not np.isfinite(labels).all():
            return "a label is missing or infinite"
        return "a label is negative" if (labels < 0).any() else None

    def link(self, mean: float) -> float:
        """Logarithm of ``mean``; DataError unless it is above 0."""
        if not mean > 0.0:
            raise DataError(
                "the labels of all training rows are zero",
                fix="check the label column, or widen the label window",
            )
        return float(log(mean))

    def mean_of(self, score: float) -> float:
        """Mean that a raw score predicts: its exponential."""
        return float(exp(score))

    def predict(self, scores: Floats) -> Floats:
        """Exponential of the raw scores."""
        return exps(scores)


def power_of_two_above(value: float) -> float:
    """Least power of two that is at least ``value``, which is above 0."""
    mantissa, exponent = np.frexp(value)
    return float(np.ldexp(1.0, int(exponent) - (mantissa == 0.5)))  # noqa: PLR2004 - of a power


@njit(nogil=True, cache=True, error_model="numpy", inline="always")
def packed_pair(
    gradient: float,
    hessian: float,
    weight: float,
    caps: tuple[float, float],
    units: tuple[float, float],
) -> np.int64:
    """Clip to ``caps``, weigh, round to the nearest unit; ``gradient << 32 | hessian``."""
    g = gradient if gradient < caps[0] else caps[0]  # noqa: FURB136 - min() does not vectorise
    g = g if g > -caps[0] else -caps[0]  # noqa: FURB136 - the same
    h = hessian if hessian < caps[1] else caps[1]  # noqa: FURB136 - the same
    whole = np.int64(np.floor(h * (weight * units[1]) + 0.5))
    return (np.int64(np.floor(g * (weight * units[0]) + 0.5)) << HESSIAN_BITS) + max(
        whole, np.int64(1)
    )


@njit(nogil=True, cache=True, error_model="numpy", inline="always")
def beyond(gradient: float, hessian: float, caps: tuple[float, float]) -> np.int64:
    """1 where a gradient or hessian is beyond its cap, else 0."""
    return np.int64((abs(gradient) > caps[0]) | (hessian > caps[1]))

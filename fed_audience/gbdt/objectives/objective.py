"""What every objective offers to the sites and to the coordinator."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np
from numba import njit

from fed_audience.errors import DataError
from fed_audience.gbdt.arithmetic import LOSS_BITS
from fed_audience.gbdt.kernels.team import ALONE

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from fed_audience.gbdt.evaluation import AnyMetrics
    from fed_audience.gbdt.fixed_point import FixedPoint
    from fed_audience.gbdt.kernels.team import Team

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

BASE_PRIOR_ROWS: Final = 200
"""Rows of the federation's mean that a brand's own base score starts from.

A beta prior of a rate p whose log-odds spread by t over brands holds 1 / (p (1 - p) t^2) rows:
204 for the 2 % of a usual campaign and the spread of 0.5 that brands of one trade show.
"""

WEIGHT_BITS: Final = 20
"""Fractional bits of a weight of ``weight_cap``: 2^34 of them sum within an int64."""

NO_WEIGHTS: Final[Floats] = np.empty(0)
"""Stands in a kernel for rows that all weigh 1."""


@dataclass(frozen=True)
class Objective(ABC):
    """An objective in the fixed point of one run; the same object at every site.

    ``row_cap`` bounds the rows of all sites together and ``weight_cap``, a power of two, the
    weight of a row. Scores are raw: float64[K, n] with K ``classes``, or [n] when K is 1. Every
    integer below is a sum over rows, so sums of sites simply add.
    """

    row_cap: int
    weight_cap: float = 1.0

    name: ClassVar[str]
    bounded: ClassVar[bool]
    """Whether gradients are bounded by themselves; else the labels need a cap."""

    @property
    def classes(self) -> int:
        """Trees of an iteration, K."""
        return 1

    @property
    @abstractmethod
    def text(self) -> str:
        """The objective's line in a LightGBM model text."""

    @property
    @abstractmethod
    def fixed(self) -> FixedPoint:
        """Units and bounds of gradients and hessians."""

    @abstractmethod
    def label_problem(self, labels: Floats) -> str | None:
        """Say in words what is wrong with the labels, float64[n]; None when nothing is."""

    def weight_problem(self, weights: Floats) -> str | None:
        """Say in words what is wrong with the rows' weights, float64[n]; None when nothing is."""
        if not np.isfinite(weights).all():
            return "a weight is missing or infinite"
        if (weights <= 0).any():
            return "a weight is not above 0"
        if (weights > self.weight_cap / self.heaviest).any():
            return f"a weight is above {self.weight_cap / self.heaviest:g}"
        return None

    @property
    def heaviest(self) -> float:
        """Largest factor that the objective itself puts on the weight of a row."""
        return 1.0

    @property
    @abstractmethod
    def sums_size(self) -> int:
        """Length of ``label_sums``."""

    @abstractmethod
    def label_sums(self, labels: Floats, weights: Floats | None) -> Integers:
        """Sum what the base scores are made of: int64[sums_size], the number of rows first."""

    @abstractmethod
    def base_scores(self, sums: Integers) -> tuple[float, ...]:
        """K raw scores that every row starts from: the constant with the least loss.

        Raises DataError when there is nothing to learn.
        """

    @abstractmethod
    def shrunk_base_scores(self, own: Integers, base: tuple[float, ...]) -> tuple[float, ...]:
        """Draw the base scores of a brand with sums ``own`` towards ``base``.

        BASE_PRIOR_ROWS rows of mean weight at the federation's mean join the brand's own.
        """

    @abstractmethod
    def gradient_pairs(
        self,
        scores: Floats,
        labels: Floats,
        weights: Floats | None,
        out: Integers,
        *,
        team: Team = ALONE,
    ) -> None:
        """Fill ``out``, int64 of the shape of scores, with ``gradient << 32 | hessian``.

        ``weights``: float64[n] of rows, at most ``weight_cap``, or None where each weighs 1.
        Raises DataError for a weight above the cap.
        """

    def clipped(self, scores: Floats, labels: Floats) -> int:  # noqa: ARG002 - none by default
        """Rows whose gradient or hessian was clipped to its bound."""
        return 0

    @property
    def loss_unit(self) -> float:
        """Real loss of one unit of ``loss_sum``; a power of two."""
        return self.weight_cap / (1 << LOSS_BITS)

    @property
    def weight_unit(self) -> float:
        """Real weight of one unit of ``weight_sum``; a power of two."""
        return self.weight_cap / (1 << WEIGHT_BITS)

    @abstractmethod
    def loss_sum(self, scores: Floats, labels: Floats, weights: Floats | None) -> int:
        """Weighted loss of the rows, in units of ``loss_unit``."""

    def weight_sum(self, weights: Floats | None, rows: int) -> int:
        """Weight of ``rows`` rows in units of ``weight_unit``; each weighs at least one unit."""
        if weights is None:
            return rows * fixed_weight(1.0, self.weight_cap)
        return int(fixed_weights(weights, self.weight_cap).sum())

    def mean_loss(self, loss_sum: int, weight_sum: int) -> float:
        """Mean loss of rows from their two sums; the quotient is rounded once."""
        return loss_sum / weight_sum * (self.loss_unit / self.weight_unit)

    @property
    @abstractmethod
    def evaluation_size(self) -> int:
        """Length of ``evaluation``."""

    @abstractmethod
    def evaluation(self, scores: Floats, labels: Floats) -> Integers:
        """Sum what the metrics are made of, int64[evaluation_size]; every row counts 1."""

    @abstractmethod
    def metrics(self, sums: Integers) -> AnyMetrics:
        """Quality of scores, from summed ``evaluation`` vectors."""

    @abstractmethod
    def predict(self, scores: Floats) -> Floats:
        """Predictions that raw scores stand for, of the same shape: the inverse link."""


def fixed_weight(weight: float, cap: float) -> int:
    """Weight in units of ``cap`` / 2^WEIGHT_BITS, at least 1."""
    return int(fixed_weights(np.array([weight]), cap)[0])


def fixed_weights(weights: Floats, cap: float) -> Integers:
    """Weights in units of ``cap`` / 2^WEIGHT_BITS, int64[n], each at least 1."""
    units = np.floor(weights * ((1 << WEIGHT_BITS) / cap) + 0.5)
    return np.maximum(units, 1.0).astype(np.int64)


def share_out(rows: int, job: Callable[[int, int], bool], team: Team) -> None:
    """Run a kernel over ``rows`` in a stretch for each thread, ``job(begin, end)``.

    Raises DataError when one says False: a row was heavier than the cap.
    """
    threads = team.threads

    def stretch(part: int) -> bool:
        return job(rows * part // threads, rows * (part + 1) // threads)

    if not all(team.map(stretch, range(threads))):
        raise too_heavy()


@njit(nogil=True, cache=True, error_model="numpy")
def row_weight(weights: Floats, row: int) -> float:
    """Weight of a row; 1 where ``weights`` is empty."""
    return weights[row] if weights.size > 0 else 1.0


def too_heavy() -> DataError:
    """Error for a row above the weight cap."""
    return DataError(
        "a row weighs more than the weight cap of the run",
        fix="raise the weight cap, counting scale_pos_weight and the brand's weight in",
    )

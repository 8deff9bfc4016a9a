"""How far to reach at one brand: the curve of an audience's size, and the cut by share."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from fed_audience.audiences.tie_breaking import check_scores, top_customers
from fed_audience.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fed_audience.audiences.tie_breaking import StringColumn

ScoreKind = Literal["probability", "amount", "rank"]
"""What a score is: of the label 1, what a demand model expects, or nothing but an order."""

SHARES: Final = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, *(step / 20 for step in range(2, 21)))
"""Shares at which a curve is drawn: dense where audiences are cut, then every 5 %."""


@dataclass(frozen=True, slots=True)
class ReachPoint:
    """What reaching the best ``share`` of the eligible people means.

    ``threshold`` is the lowest score reached (None when nobody is). ``expected`` is the sum of
    the scores reached: how many positives, or the amount of all of them together. ``lift`` is
    their mean over that of all eligible. Both are None when the score is only a rank.
    """

    share: float
    count: int
    threshold: float | None
    expected: float | None
    lift: float | None


@dataclass(frozen=True, slots=True)
class ReachCurve:
    """Scores of the eligible people, sorted once; any reach is then read off at once."""

    best_first: NDArray[np.float64]
    running_total: NDArray[np.float64]
    kind: ScoreKind

    @property
    def eligible(self) -> int:
        """Number of people that may be reached."""
        return int(self.best_first.size)

    def at(self, share: float) -> ReachPoint:
        """Return the point of ``share`` (0 to 1); raises DataError outside."""
        count = count_of_share(share, self.eligible)
        if count == 0:
            return ReachPoint(share, 0, None, None if self.kind == "rank" else 0.0, None)
        threshold = float(self.best_first[count - 1])
        if self.kind == "rank":
            return ReachPoint(share, count, threshold, None, None)
        expected = float(self.running_total[count - 1])
        average = float(self.running_total[-1]) / self.eligible
        lift = expected / count / average if average > 0 else None
        return ReachPoint(share, count, threshold, expected, lift)

    def points(self, shares: Sequence[float] = SHARES) -> tuple[ReachPoint, ...]:
        """Return the points of ``shares``, in their order."""
        return tuple(self.at(share) for share in shares)


@dataclass(frozen=True, slots=True)
class Cut:
    """The chosen customers as positions (best first), their number and lowest score."""

    requested: int
    chosen: NDArray[np.int64]
    threshold: float | None

    @property
    def count(self) -> int:
        """Number of customers chosen; never above ``requested``."""
        return int(self.chosen.size)


def reach_curve(scores: NDArray[np.float64], kind: ScoreKind = "probability") -> ReachCurve:
    """Sort the eligible people's scores once, for every reach that will be asked.

    Probabilities are checked to lie in 0 to 1; a lookalike's scores are only a rank at brands
    without labels. Raises DataError on a score that is not finite.
    """
    check_scores(scores)
    best_first = -np.sort(-scores)
    within = not scores.size or (best_first[-1] >= 0.0 and best_first[0] <= 1.0)
    if kind == "probability" and not within:
        raise DataError(
            "probabilities must lie between 0 and 1",
            value=f"{best_first[-1]:g} to {best_first[0]:g}",
            fix="say with kind that the score is a rank or an amount",
        )
    return ReachCurve(best_first, np.cumsum(best_first), kind)


def count_of_share(share: float, eligible: int) -> int:
    """Return how many of ``eligible`` people a share is, rounded down in decimal arithmetic.

    0.29 of 100 is 29, which binary floating point makes 28. Raises DataError outside 0 to 1.
    """
    if not 0.0 <= share <= 1.0:
        raise DataError(
            "reach is a share of the eligible people", value=share, limit="0 to 1", fix="set it so"
        )
    return int(Decimal(repr(float(share))) * eligible)


def cut_by_share(
    scores: NDArray[np.float64], customer_ids: StringColumn, share: float, *, key: bytes
) -> Cut:
    """Choose the best ``share`` of one brand's eligible people; ties by keyed hash."""
    return cut_by_count(scores, customer_ids, count_of_share(share, scores.size), key=key)


def cut_by_count(
    scores: NDArray[np.float64], customer_ids: StringColumn, count: int, *, key: bytes
) -> Cut:
    """Choose the best ``count`` of one brand's eligible people, all when there are fewer."""
    if count < 0:
        raise DataError("an audience has no negative size", value=count, fix="ask for 0 or more")
    chosen = top_customers(scores, customer_ids, min(count, scores.size), key)
    return Cut(count, chosen, float(scores[chosen].min()) if chosen.size else None)

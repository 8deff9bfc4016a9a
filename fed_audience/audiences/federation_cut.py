"""One cut through all brands' scores, found from a sum of vectors and nothing else.

Each brand says, for every public threshold, how many people it would deliver there. It applies
its own floor and cap before it answers, so the vectors may simply be added (under masks, too),
and whoever adds them sees no brand's share. The lowest threshold whose sum does not exceed the
request is the cut; what is then missing is filled from the next bin, in the same proportion at
every brand.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from fed_audience.audiences.reach import Cut, count_of_share
from fed_audience.audiences.tie_breaking import check_scores, top_customers
from fed_audience.errors import DataError
from fed_audience.gbdt.evaluation import score_bin, score_edge

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from fed_audience.audiences.tie_breaking import StringColumn

SCORE_BINS: Final = 4096
"""Equal bins of the log-odds, the same at every brand; each is 0.8 % of the odds wide."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Fewest and most people that one brand delivers, whatever the common threshold."""

    floor: int
    cap: int


@dataclass(frozen=True, slots=True)
class FederationCut:
    """The common cut. All of bin ``first_bin`` and above is taken, within each brand's bounds.

    Of the bin below, ``filling`` of its ``filling_of`` people are taken. ``expected`` is what
    the whole bins deliver; the fill adds up to ``filling`` more, rounded down at each brand.
    """

    requested: int
    first_bin: int
    expected: int
    filling: int
    filling_of: int

    @property
    def threshold(self) -> float:
        """Probability from which everyone is taken, within each brand's bounds."""
        return float(1.0 / (1.0 + np.exp(-score_edge(self.first_bin, SCORE_BINS))))


def bounds_of_shares(eligible: int, *, floor_share: float = 0.0, cap_share: float = 1.0) -> Bounds:
    """Turn shares of a brand's ``eligible`` people into counts, both rounded down."""
    if floor_share > cap_share:
        raise DataError(
            "a brand's floor is above its cap",
            value=f"floor {floor_share:g}, cap {cap_share:g}",
            fix="lower floor_share or raise cap_share",
        )
    return Bounds(count_of_share(floor_share, eligible), count_of_share(cap_share, eligible))


def score_bins(scores: NDArray[np.float64]) -> NDArray[np.int32]:
    """Return the bin of each probability's log-odds; int32[n] in 0 to 4095."""
    check_scores(scores)
    if scores.size and not (scores.min() >= 0.0 and scores.max() <= 1.0):
        raise DataError(
            "a common cut needs scores that mean the same at every brand: probabilities",
            value=f"{scores.min():g} to {scores.max():g}",
            limit="0 to 1",
            fix="use the shared trunk's probability, or cut each brand by share",
        )
    with np.errstate(divide="ignore"):
        return score_bin(np.log(scores) - np.log1p(-scores), SCORE_BINS)


def reach_vector(scores: NDArray[np.float64], bounds: Bounds) -> NDArray[np.int64]:
    """Return int64[4097]: people this brand delivers when everyone from bin b on is taken.

    Entry 4096 takes nobody by score, so it holds the floor. Falls weakly with b.
    """
    _check_bounds(bounds, scores.size)
    counts = np.bincount(score_bins(scores), minlength=SCORE_BINS)
    reached: NDArray[np.int64] = np.append(np.cumsum(counts[::-1])[::-1], 0)
    return np.minimum(np.maximum(reached, bounds.floor), bounds.cap)


def federation_cut(vectors: Iterable[NDArray[np.int64]], requested: int) -> FederationCut:
    """Find the common cut for ``requested`` people from the brands' reach vectors, or their sum.

    Raises DataError when no vector or one of another length is given, and when the brands'
    floors alone exceed the request.
    """
    summed = _sum(vectors)
    if requested < 0:
        raise DataError(
            "an audience has no negative size", value=requested, fix="ask for 0 or more"
        )
    if summed[SCORE_BINS] > requested:
        raise DataError(
            "the brands' floors together exceed the request",
            value=f"floors {int(summed[SCORE_BINS])}, request {requested}",
            fix="lower floor_share or raise the reach",
        )
    # The vector falls weakly, so the first entry within the request is the lowest threshold.
    first_bin = int(np.argmax(summed <= requested))
    expected = int(summed[first_bin])
    below = int(summed[first_bin - 1]) - expected if first_bin else 0
    return FederationCut(requested, first_bin, expected, min(requested - expected, below), below)


def brand_count(own: NDArray[np.int64], cut: FederationCut) -> int:
    """Return how many people a brand with reach vector ``own`` delivers under ``cut``.

    Over all brands the counts never exceed the request, and miss it by fewer people than there
    are brands (or by what the caps and the eligible people leave short).
    """
    count = int(own[cut.first_bin])
    if cut.filling:
        count += (int(own[cut.first_bin - 1]) - count) * cut.filling // cut.filling_of
    return count


def cut_brand(
    scores: NDArray[np.float64],
    customer_ids: StringColumn,
    cut: FederationCut,
    *,
    bounds: Bounds,
    key: bytes,
) -> Cut:
    """Choose one brand's people under the common ``cut``; ties by keyed hash."""
    count = brand_count(reach_vector(scores, bounds), cut)
    chosen = top_customers(scores, customer_ids, count, key)
    return Cut(count, chosen, float(scores[chosen].min()) if chosen.size else None)


def _check_bounds(bounds: Bounds, eligible: int) -> None:
    if not 0 <= bounds.floor <= bounds.cap <= eligible:
        raise DataError(
            "a brand's floor and cap do not fit its eligible people",
            value=f"floor {bounds.floor}, cap {bounds.cap}",
            limit=f"0 <= floor <= cap <= {eligible}",
            fix="derive them with bounds_of_shares",
        )


def _sum(vectors: Iterable[NDArray[np.int64]]) -> NDArray[np.int64]:
    summed: NDArray[np.int64] | None = None
    for vector in vectors:
        if vector.shape != (SCORE_BINS + 1,):
            raise DataError(
                "a reach vector has the wrong length", value=vector.shape, limit=SCORE_BINS + 1
            )
        summed = vector.astype(np.int64) if summed is None else summed + vector
    if summed is None:
        raise DataError("no brand takes part in the cut", fix="name at least one site")
    return summed

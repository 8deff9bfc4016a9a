"""Into which bin a number falls: a table over its leading bits, then a short search.

The doubles between the first and the last threshold are cut into equal stretches of their ranks.
Ranks keep the order of numbers, so only thresholds of a number's own stretch are still to be
compared with it: one or two steps for most features instead of the eight among 255 thresholds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

import numpy as np
from numba import njit

from fed_audience.gbdt.bins.canonical import SMALLEST, canonical_value
from fed_audience.gbdt.bins.feature_bins import MISSING_CODE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fed_audience.gbdt.bins.feature_bins import NumericBins

    Codes = NDArray[np.uint8]
    Floats = NDArray[np.float64]

_STRETCH_BITS: Final = 12
_SHORT: Final = (8, 4, 2, 1)
_LONG: Final = (128, 64, 32, 16, 8, 4, 2, 1)
_MAGNITUDE: Final = 2**63 - 1  # all bits but the sign
_ZERO: Final = int(np.float64(SMALLEST).view(np.int64)) - 1  # what counts as zero: bits up to here
_PADDED: Final = 512  # a search over 255 thresholds looks at most so far


class ThresholdSearch(NamedTuple):
    """What a kernel needs to code numbers of one feature.

    ``thresholds``: float64[512], padded with infinity. A number of rank r lies in stretch
    ``(clip(r, lowest, highest) - lowest) >> shift``, with ``first[stretch]`` thresholds below it;
    ``short``: there are at most 15 within any.
    """

    thresholds: Floats
    first: Codes
    lowest: np.int64
    highest: np.int64
    shift: np.int64
    short: bool

    @classmethod
    def of(cls, bins: NumericBins) -> Self:
        """Prepare the search among the thresholds of a feature."""
        thresholds = np.full(_PADDED, np.inf)
        thresholds[: len(bins.thresholds)] = bins.thresholds
        ranks = np.array([_rank(cut) for cut in bins.thresholds], dtype=np.int64)
        lowest, highest = (ranks[0], ranks[-1]) if ranks.size else (np.int64(0), np.int64(0))
        shift = max(int(highest - lowest).bit_length() - _STRETCH_BITS, 0)
        within = np.bincount((ranks - lowest) >> shift, minlength=1)
        return cls(
            thresholds,
            (np.cumsum(within) - within).astype(np.uint8),
            lowest,
            highest,
            np.int64(shift),
            bool(within.max() < 2 * _SHORT[0]),
        )


@njit(cache=True, nogil=True)
def _rank(x: float) -> Any:
    """Rank of a number among all: 0 for zero and what counts as zero, symmetric around it."""
    bits = np.float64(x).view(np.int64)
    sign = bits >> 63
    magnitude = max((bits & _MAGNITUDE) - _ZERO, np.int64(0))
    return (magnitude ^ sign) - sign


@njit(cache=True, nogil=True)
def _code(x: float, search: ThresholdSearch, steps: tuple[int, ...]) -> Any:
    """Count the thresholds below a number; MISSING_CODE for NaN.

    As ``steps`` are constants the loop over them is unrolled, and compiled without a branch.
    """
    value = canonical_value(x)
    rank = min(max(_rank(value), search.lowest), search.highest)
    below = np.int64(search.first[(rank - search.lowest) >> search.shift])
    for step in steps:
        below += step if search.thresholds[below + step - 1] < value else 0
    return below if value == value else MISSING_CODE  # noqa: PLR0124 - NaN differs from itself


@njit(cache=True, nogil=True)
def write_codes(x: Floats, search: ThresholdSearch, out: Codes) -> None:
    """Write the code of each number to ``out``, uint8[n]."""
    if search.short:
        for i in range(x.size):
            out[i] = _code(x[i], search, _SHORT)
    else:
        for i in range(x.size):
            out[i] = _code(x[i], search, _LONG)

"""Cuts of a numeric feature, from the summed counts of its grid's cells.

Which cells end a bin is decided in integers. A threshold is a round number in the gap between two
cells; it is made from the grid alone and so never repeats a value of some row on purpose.
"""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from typing import TYPE_CHECKING, Final

import numpy as np
from numba import njit

from fed_audience.gbdt.bins.feature_bins import NumericBins
from fed_audience.gbdt.bins.grid import Grid, check_counts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Integers = NDArray[np.int64]

_EXACT: Final = Context(prec=200)
"""Enough digits for the sum of any two doubles between 2^-116 and 2^64."""


def numeric_bins(
    grid: Grid, counts: NDArray[np.int64], *, max_bin: int, min_data_in_bin: int
) -> NumericBins:
    """Choose the thresholds of a feature: at most ``max_bin`` bins, the one for missing included.

    ``counts``: int64[grid.size] summed over sites, the missing last. As in LightGBM, missing
    values take one of the bins, and no more bins are made than ``min_data_in_bin`` allows.
    Raises DataError when the counts do not belong to the grid.
    """
    check_counts(grid, counts)
    filled = np.flatnonzero(counts[:-1])
    bins = max_bin - 1 if counts[-1] else max_bin
    ends = bin_ends(counts[filled], bins=bins, min_data_in_bin=min_data_in_bin)
    return NumericBins(
        tuple(
            shortest_between(
                grid.last_value(int(filled[end])), grid.first_value(int(filled[end + 1]))
            )
            for end in ends
        )
    )


def rows_by_bin(
    counts: NDArray[np.int64], *, max_bin: int, min_data_in_bin: int
) -> NDArray[np.int64]:
    """Rows in each bin that ``numeric_bins`` makes of the same counts, the missing last."""
    filled = counts[:-1][counts[:-1] > 0]
    bins = max_bin - 1 if counts[-1] else max_bin
    ends = bin_ends(filled, bins=bins, min_data_in_bin=min_data_in_bin)
    starts = np.array([0, *(end + 1 for end in ends)])
    sums = np.add.reduceat(filled, starts) if filled.size else np.zeros(1, dtype=np.int64)
    return np.append(sums, counts[-1])


def bin_ends(counts: Sequence[int] | Integers, *, bins: int, min_data_in_bin: int) -> list[int]:
    """Positions of the cells that end a bin, the last cell not among them.

    ``counts``: rows of the non-empty cells in key order. A cell with count x bins >= N stands
    alone. Others gather until acc x bins_left >= rest and acc >= min_data_in_bin, where acc are
    the rows gathered, rest the rows of light cells not yet in a finished bin (acc included) and
    bins_left the bins not yet given away. While the cells do not outnumber the bins, each cell
    ends one. Each run of light cells between heavy ones keeps a bin in reserve; a run with fewer
    than ``min_data_in_bin`` rows, or for which no bin is left, joins the bin beside it.
    """
    positions = np.empty(len(counts), dtype=np.int64)
    found = _bin_ends(np.array(counts, dtype=np.int64), bins, min_data_in_bin, positions)
    return positions[: max(found - 1, 0)].tolist()


@njit(cache=True, nogil=True)
def _bin_ends(counts: Integers, bins: int, min_data_in_bin: int, ends: Integers) -> int:
    """Write the positions of ``bin_ends``, the last cell among them; return their number."""
    total = counts.sum()
    bins = max(1, min(bins, total // max(1, min_data_in_bin)))
    heavy = counts * bins >= total
    light = total - counts[heavy].sum()
    roomy = len(counts) <= bins
    bins_left = bins - heavy.sum()
    runs_ahead = 0
    for i in range(len(counts)):
        runs_ahead += not heavy[i] and (i == 0 or heavy[i - 1])
    found = 0
    acc = 0
    starts_run = True
    run_has_bin = False
    for i in range(len(counts)):
        if heavy[i]:
            ends[found] = i
            found += 1
            starts_run = True
            continue
        if starts_run:
            runs_ahead -= 1
            acc = 0
            starts_run = run_has_bin = False
        acc += counts[i]
        ends_run = i + 1 == len(counts) or heavy[i + 1]
        if ends_run:
            done = bins_left > 0
        else:
            done = bins_left > runs_ahead + 1 and (roomy or acc * bins_left >= light)
        if done and acc >= min_data_in_bin:
            ends[found] = i
            found += 1
            bins_left -= 1
            light -= acc
            acc = 0
            run_has_bin = True
        elif ends_run:
            light -= acc
            if run_has_bin:
                ends[found - 1] = i
    return found


def shortest_between(low: float, high: float) -> float:
    """Return the double t, low < t < high, whose decimal form has the fewest digits.

    Among several the one nearest the middle, then the lower: between 0 and 1 that is 0.5. Of two
    neighbouring doubles it is ``low``, so that low <= t < high always holds; otherwise t lies
    strictly between the cells, where no row is. Needs finite low < high within +-2^64.
    """
    if math.nextafter(low, math.inf) == high:
        return low
    middle = _EXACT.divide(_EXACT.add(Decimal(low), Decimal(high)), Decimal(2))
    # A decimal of d digits inside the gap cannot lie between the middle and both of its
    # neighbours of d digits, so those two are all that need to be tried; 17 digits always do.
    for digits in range(1, 18):
        below = Context(prec=digits, rounding=ROUND_FLOOR).plus(middle)
        above = Context(prec=digits, rounding=ROUND_CEILING).plus(middle)
        nearer_above = _EXACT.subtract(above, middle) < _EXACT.subtract(middle, below)
        for candidate in (above, below) if nearer_above else (below, above):
            if low < float(candidate) < high:
                return float(candidate)
    raise AssertionError(f"no double between {low!r} and {high!r}")

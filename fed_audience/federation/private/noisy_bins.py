"""Bins of a number from noisy counts of its public cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from fed_audience.gbdt.bins import NumericBins
from fed_audience.gbdt.bins.cuts import bin_ends

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fed_audience.federation.private.public_values import PublicValues

    Integers = NDArray[np.int64]

_EMPTY: Final = 2.0
"""A cell with less than so many deviations of its noise counts as empty."""

_LEAST: Final = 3.0
"""A bin holds at least so many deviations of the noise of one cell."""


def noisy_bins(
    public: PublicValues, counts: Integers, *, deviation: float, max_bin: int
) -> NumericBins:
    """Choose at most ``max_bin`` bins; ``counts``: int64[cells + 1], noisy, the missing last.

    ``deviation``: of the noise, in the unit of the counts. Where all counts drown in it, the
    range is cut into equal parts.
    """
    cells = public.cells().thresholds
    present = counts[:-1]
    filled = np.flatnonzero(present > _EMPTY * deviation)
    if len(filled) <= 1:
        return NumericBins(cells) if len(cells) < max_bin else public.equal_bins(max_bin)
    least = max(1, int(_LEAST * deviation))
    ends = bin_ends(present[filled], bins=max_bin, min_data_in_bin=least)
    return NumericBins(tuple(cells[int(filled[end])] for end in ends))

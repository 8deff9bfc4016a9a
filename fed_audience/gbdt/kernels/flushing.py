"""From the accumulators of a node to its sums, as pairs or packed as they leave a site."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numba import njit

from fed_audience.gbdt.bins import MISSING_CODE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fed_audience.gbdt.kernels.histogram import SlotLayout
    from fed_audience.gbdt.kernels.packed_sums import PackedSlots

    Integers = NDArray[np.int64]

HESSIAN_BITS: Final = 32
"""A row's pair travels as ``gradient << 32 | hessian``: one addition sums both."""

HESSIAN_MASK: Final = 2**HESSIAN_BITS - 1
CODES: Final = 256
"""Accumulators of one feature, one a code."""


@dataclass(frozen=True, slots=True)
class HistogramForm:
    """How the kernel writes the slots of a tree. ``width``: integers of one node's histogram.

    ``offsets``: int64[F], where the slots of a feature begin, -1 for one that is not drawn.
    ``wide_cells``: int64[wide], the accumulators of the slots ``wide``.
    """

    hessian_bits: int
    offsets: Integers
    wide: Integers
    wide_cells: Integers
    width: int


class DrawnSlots:
    """Slots of the features ``drawn`` for a tree, int64[m] ascending, out of all of ``layout``."""

    def __init__(self, layout: SlotLayout, drawn: Integers) -> None:
        seen = layout.only(drawn)
        self.features = drawn
        self.slots = seen.slots
        self._offsets = np.full(len(layout.sizes), -1, dtype=np.int64)
        self._offsets[drawn] = seen.offsets[:-1]
        within = np.arange(seen.slots) - np.repeat(seen.offsets[:-1], seen.sizes + 1)
        within[seen.offsets[1:] - 1] = MISSING_CODE
        self._cells = np.repeat(drawn * CODES, seen.sizes + 1) + within

    def form(self, packed: PackedSlots) -> HistogramForm:
        """Return the form of a level that is packed so."""
        wide = packed.wide.astype(np.int64)
        width = packed.width(self.slots)
        return HistogramForm(packed.hessian_bits, self._offsets, wide, self._cells[wide], width)


@njit(nogil=True, cache=True)
def _add_pairs(cells: Integers, size: np.uint64, out: Integers) -> None:
    """Add the accumulators of ``size`` bins and of the missing to G, H, G, H, ..."""
    two = np.uint64(2)
    for b in range(size):
        out[two * b] += cells[b] >> HESSIAN_BITS
        out[two * b + np.uint64(1)] += cells[b] & HESSIAN_MASK
    out[two * size] += cells[MISSING_CODE] >> HESSIAN_BITS
    out[two * size + np.uint64(1)] += cells[MISSING_CODE] & HESSIAN_MASK


@njit(nogil=True, cache=True)
def _repacked(packed: np.int64, shift: np.uint64) -> np.int64:
    """Return ``G << 32 | H`` as ``G << shift | H``."""
    return ((packed >> HESSIAN_BITS) << shift) + (packed & HESSIAN_MASK)


@njit(nogil=True, cache=True)
def _write_packed(cells: Integers, size: np.uint64, shift: np.uint64, out: Integers) -> None:
    for b in range(size):
        out[b] = _repacked(cells[b], shift)
    out[size] = _repacked(cells[MISSING_CODE], shift)


@njit(nogil=True, cache=True)
def _add_packed(cells: Integers, size: np.uint64, shift: np.uint64, out: Integers) -> None:
    for b in range(size):
        out[b] += _repacked(cells[b], shift)
    out[size] += _repacked(cells[MISSING_CODE], shift)


@njit(nogil=True, cache=True)
def flush(  # noqa: PLR0913, PLR0917 - a kernel's arguments are its data
    scratch: Integers,
    offsets: Integers,
    sizes: Integers,
    hessian_bits: int,
    wide: Integers,
    wide_cells: Integers,
    outgrown: Integers,
    out: Integers,
    before: int,
) -> None:
    """Bring the accumulators of all features into the form of ``out``, int64[width], and zero them.

    A node's first flush writes; with some ``before`` it adds. ``outgrown``: int64[wide], for use.
    """
    shift, one = np.uint64(hessian_bits), np.uint64(1)
    behind, wides = np.uint64(out.size - wide.size), np.uint64(wide.size)
    if before == 0 and (hessian_bits == 0 or wide.size > 0):
        out[:] = 0
    for index in range(wides):
        packed = scratch[wide_cells[index]]
        scratch[wide_cells[index]] = 0
        outgrown[index] = packed >> HESSIAN_BITS
        out[behind + index] += packed & HESSIAN_MASK
    for feature in range(np.uint64(sizes.size)):
        cells = scratch[feature * np.uint64(CODES) : (feature + one) * np.uint64(CODES)]
        if offsets[feature] >= 0:
            slot, size = np.uint64(offsets[feature]), np.uint64(sizes[feature])
            if hessian_bits == 0:
                _add_pairs(cells, size, out[np.uint64(2) * slot :])
            elif before == 0:
                _write_packed(cells, size, shift, out[slot:])
            else:
                _add_packed(cells, size, shift, out[slot:])
        cells[:] = 0
    for index in range(wides):
        out[wide[index]] += outgrown[index]

"""Histograms of gradient and hessian sums, as exact integers.

Layout: every feature owns ``size + 1`` consecutive slots, its bins and then one for
``MISSING_CODE``; a histogram is int64[slots, 2], gradient beside hessian, or packed as it leaves
a site. Nothing else is summed: a count of rows would be the same vector in every tree.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final, Self

import numpy as np
from numba import njit

from fed_audience.gbdt.bins import CategoryBins
from fed_audience.gbdt.kernels.codes import CODES_PER_WORD
from fed_audience.gbdt.kernels.flushing import CODES, HESSIAN_BITS, HESSIAN_MASK, flush
from fed_audience.gbdt.kernels.instructions import prefetch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fed_audience.gbdt.bins import FeatureBins
    from fed_audience.gbdt.fixed_point import FixedPoint

    Integers = NDArray[np.int64]
    Rows = NDArray[np.uint32]
    Words = NDArray[np.uint64]

_MOST_GRADIENT: Final = 2**31 - 1
_STRETCH_ROWS: Final = 8192
_BLOCK_ROWS: Final = 1024
_PREFETCH_ROWS: Final = 24
_WORD_SLOTS: Final = CODES_PER_WORD * CODES
_LINE_WORDS: Final = 8


@dataclass(frozen=True)
class SlotLayout:
    """Where each feature's sums lie. ``sizes``: int64[F] bins without the missing slot."""

    sizes: NDArray[np.int64]
    categorical: NDArray[np.bool_]

    @classmethod
    def from_bins(cls, bins: Sequence[FeatureBins]) -> Self:
        """Lay out the slots of the agreed ``bins``, feature by feature."""
        return cls(
            np.array([feature_bins.size for feature_bins in bins], dtype=np.int64),
            np.array([isinstance(feature_bins, CategoryBins) for feature_bins in bins]),
        )

    @cached_property
    def offsets(self) -> NDArray[np.int64]:
        """int64[F + 1]: first slot of each feature, then the number of slots."""
        return np.concatenate(([0], np.cumsum(self.sizes + 1))).astype(np.int64)

    @property
    def slots(self) -> int:
        """Slots of one node's histogram."""
        return int(self.offsets[-1])

    def only(self, features: NDArray[np.int64]) -> SlotLayout:
        """Layout of some features, in the order given."""
        return SlotLayout(self.sizes[features], self.categorical[features])

    def slots_of(self, features: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where the slots of ``features`` lie, in the order given: int64[m]."""
        return np.concatenate(
            [np.arange(self.offsets[feature], self.offsets[feature + 1]) for feature in features]
        )


def rows_before_flush(fixed: FixedPoint) -> int:
    """Rows that a packed accumulator holds without overflow, each at its largest.

    The gradient half is a signed 32-bit sum, the hessian half an unsigned one.
    """
    return min(_MOST_GRADIENT // fixed.gradient_bound, HESSIAN_MASK // fixed.hessian_bound)


@njit(nogil=True, cache=True)
def _accumulate(  # noqa: C901 - one unrolled loop
    words: Words,
    stride: np.uint64,
    features: int,
    rows: Rows,
    begin: int,
    end: int,
    packed: Integers,
    scratch: Integers,
) -> None:
    """Add the packed pairs of ``rows[begin:end]`` to ``scratch[feature * 256 + code]``.

    Word-major within a block: eight features' accumulators (16 KiB) stay in the first cache.
    Indices are unsigned because signed ones cost a wrap-around test each.
    """
    full_words = np.uint64(features // CODES_PER_WORD)
    rest = np.uint64(features % CODES_PER_WORD)
    lines = (stride + np.uint64(_LINE_WORDS - 1)) // np.uint64(_LINE_WORDS)
    first = np.empty(_BLOCK_ROWS, np.uint64)
    pairs = np.empty(_BLOCK_ROWS, np.int64)
    eights = np.empty(_BLOCK_ROWS, np.uint64)
    byte = np.uint64(255)
    position = begin
    while position < end:
        size = min(_BLOCK_ROWS, end - position)
        count = np.uint64(size)
        start = np.uint64(position)
        last = np.uint64(end)
        for r in range(count):
            ahead = start + r + np.uint64(_PREFETCH_ROWS)
            if ahead < last:
                coming = np.uint64(rows[ahead])
                prefetch(packed, coming)
                for line in range(lines):
                    prefetch(words, coming * stride + line * np.uint64(_LINE_WORDS))
            row = np.uint64(rows[start + r])
            first[r] = row * stride
            pairs[r] = packed[row]
        for word in range(full_words):
            base = word * np.uint64(_WORD_SLOTS)
            for r in range(count):
                eights[r] = words[first[r] + word]
            for r in range(count):
                codes = eights[r]
                pair = pairs[r]
                scratch[base + (codes & byte)] += pair
                scratch[base + np.uint64(256) + ((codes >> np.uint64(8)) & byte)] += pair
                scratch[base + np.uint64(512) + ((codes >> np.uint64(16)) & byte)] += pair
                scratch[base + np.uint64(768) + ((codes >> np.uint64(24)) & byte)] += pair
                scratch[base + np.uint64(1024) + ((codes >> np.uint64(32)) & byte)] += pair
                scratch[base + np.uint64(1280) + ((codes >> np.uint64(40)) & byte)] += pair
                scratch[base + np.uint64(1536) + ((codes >> np.uint64(48)) & byte)] += pair
                scratch[base + np.uint64(1792) + (codes >> np.uint64(56))] += pair
        if rest > np.uint64(0):
            base = full_words * np.uint64(_WORD_SLOTS)
            for r in range(count):
                codes = words[first[r] + full_words]
                pair = pairs[r]
                for k in range(rest):
                    scratch[base + k * np.uint64(CODES) + (codes & byte)] += pair
                    codes >>= np.uint64(8)
        position += size


@njit(nogil=True, cache=True)
def _rows_that_fit(rows: Rows, begin: int, end: int, packed: Integers) -> np.int64:
    """Position after the last of ``rows[begin:end]`` that a packed accumulator surely holds."""
    gradients = np.int64(0)
    hessians = np.int64(0)
    for position in range(np.uint64(begin), np.uint64(end)):
        pair = packed[rows[position]]
        gradients += abs(pair >> HESSIAN_BITS)
        hessians += pair & HESSIAN_MASK
        if gradients > _MOST_GRADIENT or hessians > HESSIAN_MASK:
            return np.int64(position)
    return np.int64(end)


@njit(nogil=True, cache=True)
def fill_histograms(  # noqa: PLR0913, PLR0917 - a kernel's arguments are its data
    words: Words,
    stride: int,
    rows: Rows,
    places: Integers,
    ranges: Integers,
    packed: Integers,
    flush_rows: int,
    offsets: Integers,
    sizes: Integers,
    hessian_bits: int,
    wide: Integers,
    wide_cells: Integers,
    out: Integers,
    added: bool,  # noqa: FBT001 - as above
) -> None:
    """Fill ``out`` (int64[K, width]) with the histograms of K nodes, or add to what is ``added``.

    Node k owns ``rows[begin:end]`` of ``ranges[places[k]]``. ``packed``: int64[n] pairs of
    ``Objective.gradient_pairs``; ``offsets`` to ``wide_cells`` as a ``HistogramForm`` has them.
    Where the bounds of a row are so far above the usual that ``flush_rows`` is small, the rows that
    fit are found by summing them: a flush costs as much as some 256 rows.
    """
    features = sizes.size
    scratch = np.zeros(((features + 7) // 8) * _WORD_SLOTS, np.int64)
    outgrown = np.empty(wide.size, np.int64)
    for node in range(places.size):
        begin = ranges[places[node], 0]
        end = ranges[places[node], 1]
        flushes = 1 if added else 0
        if begin == end and not added:
            out[node] = 0
        while begin < end:
            until = min(begin + flush_rows, end)
            if flush_rows < _STRETCH_ROWS and until < end:
                until = _rows_that_fit(rows, begin, min(begin + _STRETCH_ROWS, end), packed)
            _accumulate(words, np.uint64(stride), features, rows, begin, until, packed, scratch)
            flush(
                scratch, offsets, sizes, hessian_bits, wide, wide_cells, outgrown, out[node],
                flushes,
            )  # fmt: skip
            flushes += 1
            begin = until


@njit(nogil=True, cache=True)
def first_not_of(
    built: Integers, pool: Integers, parents: Integers, steepest: Integers, first: int, last: int
) -> int:
    """First of nodes ``first`` to ``last`` that cannot hold some of its parent's rows, or -1.

    ``built``: int64[K, slots, 2]; the parent of node k is ``pool[parents[k]]``. ``steepest``:
    int64[slots], the largest gradient sum that the rows of each slot can have.
    """
    for node in range(first, last):
        child, parent = built[node], pool[parents[node]]
        fits = True
        for slot in range(np.uint64(child.shape[0])):
            gradient, hessian = child[slot, 0], child[slot, 1]
            fits &= (hessian >= 0) & (hessian <= parent[slot, 1])
            fits &= abs(gradient) <= steepest[slot]
        if not fits:
            return node
    return -1

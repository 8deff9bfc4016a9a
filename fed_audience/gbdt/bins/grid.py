"""Cells of the number line, the same for every feature, whose counts all sites may sum.

A double's bits, seen as an ordered integer (its *key*), start with sign, exponent and leading
mantissa bits: a prefix of the key is an interval of numbers. The coarsest grid holds a cell for
each sign, each exponent from -64 to 63 and each value of three mantissa bits, and one for zero.
Where rows are dense, cells split by further bits. Counts of cells add up over sites, so what is
decided from them does not depend on how the rows are spread.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numba import njit

from fed_audience.errors import DataError
from fed_audience.gbdt.bins.canonical import (
    MISSING_KEY,
    ZERO_KEY,
    canonical_value,
    key_of,
    read_only,
    value_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]
    Keys = NDArray[np.uint64]

MAX_REFINEMENTS: Final = 3
HEAVY_FLOOR: Final = 20
"""A cell of so few rows never splits."""

_CELLS_PER_REFINEMENT: Final = 4096
_MOST_BITS: Final = 12
_LEVEL_0_BITS: Final = 49  # mantissa bits below a coarsest cell
_PER_SIGN: Final = 128 * 8
_ZERO_CELL: Final = _PER_SIGN
_LEVEL_0_CELLS: Final = 2 * _PER_SIGN + 1
_MISSING_NODE: Final = _LEVEL_0_CELLS
_FIRST_POSITIVE: Final = (ZERO_KEY >> _LEVEL_0_BITS) + ((1023 - 64) << 3)
_FIRST_NEGATIVE: Final = (ZERO_KEY >> _LEVEL_0_BITS) - ((1023 - 64) << 3) - _PER_SIGN
_MASK_AT: Final = 8
_MASK: Final = (1 << _MOST_BITS) - 1
_SHIFT: Final = (1 << _MASK_AT) - 1


@dataclass(frozen=True, slots=True)
class Refinement:
    """Cells, by their position in the grid they refine, each split by ``bits`` further bits."""

    bits: int
    cells: tuple[int, ...]


class _Tables(NamedTuple):
    """The grid unrolled: a tree over key bits for look-up, the cells in key order for all else.

    A node is a cell of some level, or missing. ``top[key >> 49]`` is a key's node of the coarsest
    level. ``step[node]`` packs where the node's children begin, and the mask and shift by which a
    key finds its own; a node without children leads to itself, so that every key takes as many
    steps as there are refinements. ``cell[node]`` is the position of its cell.
    """

    top: NDArray[np.int32]
    step: Keys
    cell: NDArray[np.int32]
    first: Keys
    free_bits: Integers


@dataclass(frozen=True)
class Grid:
    """Cells of one feature: the coarsest ones and the refinements so far, in order.

    Equal refinements give equal cells on every machine. Counts of a grid are int64[size]: the
    cells in ascending order of their numbers, then the missing.
    """

    refinements: tuple[Refinement, ...] = ()

    @property
    def cells(self) -> int:
        """Number of cells, the missing not included."""
        return len(self._tables.first)

    @property
    def size(self) -> int:
        """Length of the counts: cells, and one entry for missing."""
        return self.cells + 1

    @property
    def free_bits(self) -> Integers:
        """Bits by which each cell could still split; 0 for the zero cell: int64[cells]."""
        return self._tables.free_bits

    def first_value(self, cell: int) -> float:
        """Smallest double in a cell."""
        return value_of(int(self._tables.first[cell]))

    def last_value(self, cell: int) -> float:
        """Largest double in a cell."""
        width = 1 << int(self._tables.free_bits[cell])
        return value_of(int(self._tables.first[cell]) + width - 1)

    def counts(self, x: ArrayLike) -> Integers:
        """Rows in each cell, then the missing: int64[size]. ``x``: float64[n], NaN missing."""
        numbers = read_only(x)
        return self.counts_of([(numbers, np.ones(len(numbers), dtype=np.bool_))])

    def counts_of(self, blocks: Iterable[tuple[Floats, NDArray[np.bool_]]]) -> Integers:
        """Count, as ``counts``, the marked rows of blocks of numbers and their marks."""
        tables = self._tables
        in_nodes = np.zeros(len(tables.step), dtype=np.int64)
        for numbers, marked in blocks:
            _count(numbers, marked, tables.top, tables.step, len(self.refinements), in_nodes)
        out = np.zeros(self.size, dtype=np.int64)
        np.add.at(out, tables.cell, in_nodes)
        return out

    def find(self, keys: Keys) -> NDArray[np.int32]:
        """Position of each key's cell, ``cells`` for missing: int32[n]."""
        tables = self._tables
        node = tables.top[keys >> np.uint64(_LEVEL_0_BITS)]
        for _ in self.refinements:
            step = tables.step[node]
            mask = (step >> np.uint64(_MASK_AT)) & np.uint64(_MASK)
            node = (step >> np.uint64(32)) + ((keys >> (step & np.uint64(_SHIFT))) & mask)
        return tables.cell[node]

    def to_json(self) -> str:
        """Compact JSON of integers; equal grids give equal text."""
        return json.dumps(
            [[refinement.bits, list(refinement.cells)] for refinement in self.refinements],
            separators=(",", ":"),
        )

    @classmethod
    def from_json(cls, text: str) -> Grid:
        """Read what ``to_json`` wrote. Raises DataError for anything else."""
        try:
            grid = cls(
                tuple(Refinement(bits, tuple(cells)) for bits, cells in _checked(json.loads(text)))
            )
            _ = grid.cells
        except (ValueError, TypeError, RecursionError) as error:
            raise DataError(
                f"a grid's description is malformed: {error}",
                limit=f"at most {MAX_REFINEMENTS} pairs [bits, ascending cell positions]",
                fix="run the same version of fed-audience at the coordinator and at every site",
            ) from error
        return grid

    @cached_property
    def _tables(self) -> _Tables:
        position = np.arange(_LEVEL_0_CELLS)
        first = np.where(
            position < _ZERO_CELL,
            position + _FIRST_NEGATIVE,
            position - _ZERO_CELL - 1 + _FIRST_POSITIVE,
        ).astype(np.uint64) << np.uint64(_LEVEL_0_BITS)
        first[_ZERO_CELL] = ZERO_KEY
        free = np.full(_LEVEL_0_CELLS, _LEVEL_0_BITS)
        free[_ZERO_CELL] = 0
        node = position
        step = _leading(np.arange(_MISSING_NODE + 1))
        for refinement in self.refinements:
            split = np.zeros(len(first), dtype=np.bool_)
            split[list(refinement.cells)] = True
            fan = 1 << refinement.bits
            if np.any(free[split] < refinement.bits):
                raise ValueError(f"a cell is too narrow to split by {refinement.bits} bits")
            children = len(step) + fan * np.arange(split.sum())
            step[node[split]] = _leading(children, fan - 1, free[split] - refinement.bits)
            born = np.arange(len(step), len(step) + fan * len(children))
            step = np.concatenate((step, _leading(born)))

            repeats = np.where(split, fan, 1)
            origin = np.repeat(np.arange(len(first)), repeats)
            rank = np.arange(len(origin)) - np.repeat(np.cumsum(repeats) - repeats, repeats)
            free = (free - np.where(split, refinement.bits, 0))[origin]
            first = first[origin] + (rank.astype(np.uint64) << free.astype(np.uint64))
            start = node.copy()
            start[split] = children
            node = start[origin] + rank
        cell = np.zeros(len(step), dtype=np.int32)
        cell[node] = np.arange(len(node))
        cell[_MISSING_NODE] = len(node)
        return _Tables(_top(), step, cell, first, free)


def _leading(child: Integers, mask: int = 0, shift: Integers | int = 0) -> Keys:
    """Pack the step from a node to its children."""
    return (child << 32 | mask << _MASK_AT | shift).astype(np.uint64)


@cache
def _top() -> NDArray[np.int32]:
    """Node of the coarsest level by the leading bits of a key: int32[2^15]."""
    top = np.zeros(1 << (64 - _LEVEL_0_BITS), dtype=np.int32)
    cells = np.arange(_PER_SIGN, dtype=np.int32)
    top[_FIRST_NEGATIVE : _FIRST_NEGATIVE + _PER_SIGN] = cells
    top[ZERO_KEY >> _LEVEL_0_BITS] = _ZERO_CELL
    top[_FIRST_POSITIVE : _FIRST_POSITIVE + _PER_SIGN] = _ZERO_CELL + 1 + cells
    top[MISSING_KEY >> _LEVEL_0_BITS] = _MISSING_NODE
    return top


def refine(grid: Grid, counts: Integers, total: int, max_bin: int) -> Grid | None:
    """Split the heavy cells of a grid, or return None when nothing more is to be split.

    Of the N rows with a value and the bins to make of them, a narrow cell (zero, or one that split
    before) with at least N / bins rows will take a bin alone. Heavy is a cell above
    max(rest / (2 bins_left), 20), rest and bins_left being what those leave: so the few amounts
    beside very many zeros are told apart too. h heavy cells split by
    min(12, floor(log2(4096 / h))) bits each. ``counts``: int64[grid.size] summed over sites;
    ``total``: all rows, missing included, against which the counts are checked. Raises DataError
    when they do not add up.
    """
    check_counts(grid, counts)
    if (counted := int(counts.sum())) != total:
        raise DataError(
            "the counts of a feature's cells do not add up to the rows of the run",
            value=counted,
            limit=total,
            fix="check that every site counts each training row once",
        )
    if len(grid.refinements) >= MAX_REFINEMENTS:
        return None
    present = counts[:-1]
    rows = present.sum()
    bins = max_bin - 1 if counts[-1] else max_bin
    alone = (grid.free_bits < _LEVEL_0_BITS) & (present * bins >= rows)
    rest = rows - present[alone].sum()
    bins_left = max(1, bins - int(alone.sum()))
    heavy = (present * (2 * bins_left) > rest) & (present > HEAVY_FLOOR)
    positions = np.flatnonzero(heavy & (grid.free_bits > 0))
    if positions.size == 0:
        return None
    bits = min(_MOST_BITS, (_CELLS_PER_REFINEMENT // positions.size).bit_length() - 1)
    return Grid((*grid.refinements, Refinement(bits, tuple(positions.tolist()))))


def check_counts(grid: Grid, counts: Integers) -> None:
    """Raise DataError unless the counts have the grid's size and none is negative."""
    if counts.shape != (grid.size,) or counts.min() < 0:
        raise DataError(
            "the counts do not belong to this grid",
            value=f"shape {counts.shape}, least {counts.min() if counts.size else None}",
            limit=f"shape ({grid.size},), none negative",
            fix="count with the grid of the same round",
        )


@njit(cache=True, nogil=True)
def _count(
    x: Floats,
    marked: NDArray[np.bool_],
    top: NDArray[np.int32],
    step: Keys,
    levels: int,
    in_nodes: Integers,
) -> None:
    """Add the marked numbers of ``x`` to the counts of their nodes."""
    for i in range(x.size):
        key = key_of(canonical_value(x[i]))
        node = np.uint64(top[key >> np.uint64(_LEVEL_0_BITS)])
        for _ in range(levels):
            packed = step[node]
            mask = (packed >> np.uint64(_MASK_AT)) & np.uint64(_MASK)
            node = (packed >> np.uint64(32)) + ((key >> (packed & np.uint64(_SHIFT))) & mask)
        in_nodes[node] += marked[i]


def _checked(document: object) -> list[tuple[int, list[int]]]:
    """Refinements of a parsed description; ValueError when its shape is wrong."""
    if not isinstance(document, list) or len(document) > MAX_REFINEMENTS:
        raise ValueError("it is not a short list")
    pairs: list[tuple[int, list[int]]] = []
    size = _LEVEL_0_CELLS
    for pair in document:
        bits, cells = pair
        numbers = [bits, *cells]
        if any(type(number) is not int for number in numbers):
            raise ValueError("it holds something other than integers")
        ascending = all(a < b for a, b in pairwise(cells))
        inside = cells and cells[0] >= 0 and cells[-1] < size
        if not (1 <= bits <= _MOST_BITS and ascending and inside):
            raise ValueError("bits or cell positions are out of range")
        if len(cells) << bits > _CELLS_PER_REFINEMENT:
            raise ValueError("it refines into too many cells")
        size += len(cells) * ((1 << bits) - 1)
        pairs.append((bits, cells))
    return pairs

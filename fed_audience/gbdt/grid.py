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
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numba import njit

from fed_audience.errors import DataError
from fed_audience.gbdt.canonical import MISSING_KEY, ZERO_KEY, canonical, keys, value_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Integers = NDArray[np.int64]
    Keys = NDArray[np.uint64]

__all__ = ["Grid", "Refinement", "canonical", "check_counts", "keys", "refine"]

MAX_REFINEMENTS: Final = 3
HEAVY_FLOOR: Final = 20
"""A cell of so few rows never splits."""

_CELLS_PER_REFINEMENT: Final = 4096
_MOST_BITS: Final = 12
_LEVEL_0_BITS: Final = 49  # mantissa bits below a coarsest cell
_PER_SIGN: Final = 128 * 8
_ZERO_CELL: Final = _PER_SIGN
_LEVEL_0_CELLS: Final = 2 * _PER_SIGN + 1
_FIRST_POSITIVE: Final = (ZERO_KEY >> _LEVEL_0_BITS) + ((1023 - 64) << 3)
_FIRST_NEGATIVE: Final = (ZERO_KEY >> _LEVEL_0_BITS) - ((1023 - 64) << 3) - _PER_SIGN


@dataclass(frozen=True, slots=True)
class Refinement:
    """Cells, by their position in the grid they refine, each split by ``bits`` further bits."""

    bits: int
    cells: tuple[int, ...]


class _Tables(NamedTuple):
    """The grid unrolled: a tree over key bits for look-up, the cells in key order for all else.

    A node is a cell of some level. ``child[node]`` is its first child or -1, found at
    ``child + (key >> shift & mask)``; ``cell[node]`` is the position of a node without children.
    """

    child: NDArray[np.int32]
    shift: NDArray[np.uint64]
    mask: NDArray[np.uint64]
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

    def counts(self, keys: Keys) -> Integers:
        """Rows in each cell, then the missing: int64[size]. ``keys`` as of ``keys()``."""
        out = np.zeros(self.size, dtype=np.int64)
        tables = self._tables
        _count(keys, tables.child, tables.shift, tables.mask, tables.cell, out)
        return out

    def find(self, keys: Keys) -> NDArray[np.int32]:
        """Position of each key's cell, ``cells`` for missing: int32[n]."""
        out = np.empty(keys.shape, dtype=np.int32)
        tables = self._tables
        _find(keys, tables.child, tables.shift, tables.mask, tables.cell, np.int32(self.cells), out)
        return out

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
        child = [np.full(_LEVEL_0_CELLS, -1)]
        shift = [free]
        nodes = _LEVEL_0_CELLS
        masks = [np.zeros(_LEVEL_0_CELLS, dtype=np.int64)]
        for refinement in self.refinements:
            split = np.zeros(len(first), dtype=np.bool_)
            split[list(refinement.cells)] = True
            fan = 1 << refinement.bits
            if np.any(free[split] < refinement.bits):
                raise ValueError(f"a cell is too narrow to split by {refinement.bits} bits")
            children = nodes + fan * np.arange(split.sum())
            flat_child, flat_mask, flat_shift = map(np.concatenate, (child, masks, shift))
            flat_child[node[split]] = children
            flat_mask[node[split]] = fan - 1
            flat_shift[node[split]] = free[split] - refinement.bits

            repeats = np.where(split, fan, 1)
            origin = np.repeat(np.arange(len(first)), repeats)
            rank = np.arange(len(origin)) - np.repeat(np.cumsum(repeats) - repeats, repeats)
            free = (free - np.where(split, refinement.bits, 0))[origin]
            first = first[origin] + (rank.astype(np.uint64) << free.astype(np.uint64))
            start = node.copy()
            start[split] = children
            node = start[origin] + rank
            born = fan * len(children)
            child = [flat_child, np.full(born, -1)]
            masks = [flat_mask, np.zeros(born, dtype=np.int64)]
            shift = [flat_shift, np.zeros(born, dtype=np.int64)]
            nodes += born
        cell = np.zeros(nodes, dtype=np.int32)
        cell[node] = np.arange(len(node))
        return _Tables(
            np.concatenate(child).astype(np.int32),
            np.concatenate(shift).astype(np.uint64),
            np.concatenate(masks).astype(np.uint64),
            cell,
            first,
            free,
        )


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
def _cell_of(
    key: np.uint64,
    child: NDArray[np.int32],
    shift: Keys,
    mask: Keys,
    cell: NDArray[np.int32],
) -> np.int32:
    prefix = np.int64(key >> np.uint64(_LEVEL_0_BITS))
    if prefix >= _FIRST_POSITIVE:
        node = prefix - _FIRST_POSITIVE + _ZERO_CELL + 1
    elif key == np.uint64(ZERO_KEY):
        node = np.int64(_ZERO_CELL)
    else:
        node = prefix - _FIRST_NEGATIVE
    below = child[node]
    while below >= 0:
        node = below + np.int64((key >> shift[node]) & mask[node])
        below = child[node]
    return cell[node]


@njit(cache=True, nogil=True)
def _count(
    keys: Keys,
    child: NDArray[np.int32],
    shift: Keys,
    mask: Keys,
    cell: NDArray[np.int32],
    out: Integers,
) -> None:
    for i in range(keys.size):
        if keys[i] == np.uint64(MISSING_KEY):
            out[-1] += 1
        else:
            out[_cell_of(keys[i], child, shift, mask, cell)] += 1


@njit(cache=True, nogil=True)
def _find(
    keys: Keys,
    child: NDArray[np.int32],
    shift: Keys,
    mask: Keys,
    cell: NDArray[np.int32],
    missing: np.int32,
    out: NDArray[np.int32],
) -> None:
    for i in range(keys.size):
        if keys[i] == np.uint64(MISSING_KEY):
            out[i] = missing
        else:
            out[i] = _cell_of(keys[i], child, shift, mask, cell)


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

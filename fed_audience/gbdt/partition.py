"""Which rows are in which node: a row index in which every node is one contiguous range."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from fed_audience.gbdt.codes import go_left_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from concurrent.futures import ThreadPoolExecutor

    from numpy.typing import NDArray

    from fed_audience.gbdt.codes import BinnedMatrix
    from fed_audience.gbdt.tree import Split

    Codes = NDArray[np.uint8]
    Rows = NDArray[np.uint32]


@njit(nogil=True, cache=True)
def _partition(
    column: Codes, go_left: Codes, rows: Rows, spare: Rows, begin: int, end: int
) -> np.int64:
    """Move the rows that go left to the front of the range, keeping order; return the border."""
    left = np.uint64(begin)
    right = np.uint64(begin)
    for position in range(np.uint64(begin), np.uint64(end)):
        row = rows[position]
        goes = np.uint64(go_left[column[np.uint64(row)]])
        rows[left] = row
        spare[right] = row
        left += goes
        right += np.uint64(1) - goes
    moved = right - np.uint64(begin)
    for position in range(moved):
        rows[left + position] = spare[np.uint64(begin) + position]
    return np.int64(left)


@njit(nogil=True, cache=True)
def _add_to_scores(
    scores: NDArray[np.float64], rows: Rows, begin: int, end: int, value: float
) -> None:
    for position in range(np.uint64(begin), np.uint64(end)):
        scores[np.uint64(rows[position])] += value


class RowPartition:
    """The rows of one tree, by node. Node 0 is the root and holds ``selected`` at the start.

    ``selected``: uint32[n] row numbers, ascending; kept and copied anew by ``restart``.
    """

    def __init__(self, selected: NDArray[np.uint32]) -> None:
        self._selected = selected
        self.rows = selected.copy()
        self._spare = np.empty_like(selected)
        self._ranges: dict[int, tuple[int, int]] = {}
        self.restart()

    def restart(self) -> None:
        """Put every row back into the root."""
        np.copyto(self.rows, self._selected)
        self._ranges = {0: (0, len(self.rows))}

    def ranges(self, nodes: Sequence[int]) -> NDArray[np.int64]:
        """Return int64[K, 2]: begin and end of each node's rows."""
        return np.array([self._ranges[node] for node in nodes], dtype=np.int64).reshape(-1, 2)

    def nodes(self) -> frozenset[int]:
        """Return the nodes that are leaves so far."""
        return frozenset(self._ranges)

    def split(
        self,
        matrix: BinnedMatrix,
        splits: Mapping[int, tuple[Split, int, int]],
        pool: ThreadPoolExecutor | None = None,
    ) -> None:
        """Split each node of ``splits`` (node -> its split, left child, right child).

        A node may be a child of another one of ``splits``. Raises KeyError, before any row is
        moved, for a node that is not a leaf or a child that exists.
        """
        leaves = set(self._ranges)
        for node, (_, left, right) in splits.items():
            leaves.remove(node)
            if left in leaves or right in leaves:
                raise KeyError(left)
            leaves |= {left, right}

        def job(node: int) -> int:
            split, _, _ = splits[node]
            begin, end = self._ranges[node]
            column = matrix.columns[split.feature]
            table = go_left_table(split)
            return int(_partition(column, table, self.rows, self._spare, begin, end))

        waiting = list(splits)
        while waiting:
            ready = [node for node in waiting if node in self._ranges]
            borders = list(pool.map(job, ready) if pool else map(job, ready))
            for border, node in zip(borders, ready, strict=True):
                _, left, right = splits[node]
                begin, end = self._ranges.pop(node)
                self._ranges[left] = (begin, border)
                self._ranges[right] = (border, end)
            waiting = [node for node in waiting if node not in ready]

    def add_to_scores(
        self,
        scores: NDArray[np.float64],
        values: Mapping[int, float],
        pool: ThreadPoolExecutor | None = None,
    ) -> None:
        """Add each leaf's value (node -> value) to the scores of its rows."""

        def job(node: int) -> None:
            begin, end = self._ranges[node]
            _add_to_scores(scores, self.rows, begin, end, values[node])

        list(pool.map(job, values) if pool else map(job, values))

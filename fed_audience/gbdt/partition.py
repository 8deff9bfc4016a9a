"""Which rows are in which node: a row index in which every node is one contiguous range."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numba import njit

from fed_audience.gbdt.codes import go_left_table
from fed_audience.gbdt.prefetch import prefetch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from concurrent.futures import ThreadPoolExecutor

    from numpy.typing import NDArray

    from fed_audience.gbdt.codes import BinnedMatrix
    from fed_audience.gbdt.tree import Split

    Codes = NDArray[np.uint8]
    Floats = NDArray[np.float64]
    NodeSplits = Mapping[int, tuple[Split, int, int]]
    Rows = NDArray[np.uint32]

_PREFETCH_ROWS: Final = 32


@njit(nogil=True, cache=True)
def _partition(
    column: Codes, go_left: Codes, rows: Rows, spare: Rows, begin: int, end: int
) -> np.int64:
    """Move the rows that go left to the front of the range, keeping order; return the border."""
    left = np.uint64(begin)
    right = np.uint64(begin)
    last = np.uint64(end)
    for position in range(np.uint64(begin), last):
        ahead = position + np.uint64(_PREFETCH_ROWS)
        if ahead < last:
            prefetch(column, np.uint64(rows[ahead]))
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
def _add_to_scores(scores: Floats, rows: Rows, begin: int, end: int, value: float) -> None:
    for position in range(np.uint64(begin), np.uint64(end)):
        scores[np.uint64(rows[position])] += value


@njit(nogil=True, cache=True)
def _add_by_code(
    scores: Floats, column: Codes, values: Floats, rows: Rows, begin: int, end: int
) -> None:
    """Add ``values[code]`` to each row's score, its code read from ``column``."""
    last = np.uint64(end)
    for position in range(np.uint64(begin), last):
        ahead = position + np.uint64(_PREFETCH_ROWS)
        if ahead < last:
            coming = np.uint64(rows[ahead])
            prefetch(column, coming)
            prefetch(scores, coming)
        row = np.uint64(rows[position])
        scores[row] += values[column[row]]


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
        splits: NodeSplits,
        pool: ThreadPoolExecutor | None = None,
    ) -> None:
        """Split each node of ``splits`` (node -> its split, left child, right child).

        A node may be a child of another one of ``splits``. Raises KeyError, before any row is
        moved, for a node that is not a leaf or a child that exists.
        """
        self._leaves_after(splits)

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

    def finish(
        self,
        matrix: BinnedMatrix,
        splits: NodeSplits,
        values: Mapping[int, float],
        scores: Floats,
        pool: ThreadPoolExecutor | None = None,
    ) -> None:
        """Add its leaf's value to each row's score, after a last step of ``splits``.

        ``values``: leaf -> value. Rows of a node whose children are leaves are not moved any
        more: their code decides. Raises KeyError, before anything changes, for an unknown node
        or unless ``values`` names exactly the leaves.
        """
        if self._leaves_after(splits) != values.keys():
            raise KeyError("the values do not name the leaves")
        inner = {
            node: done for node, done in splits.items() if done[1] in splits or done[2] in splits
        }
        self.split(matrix, inner, pool)

        def job(node: int) -> None:
            begin, end = self._ranges[node]
            if node not in splits:
                _add_to_scores(scores, self.rows, begin, end, values[node])
                return
            split, left, right = splits[node]
            by_code = np.where(go_left_table(split), values[left], values[right])
            column = matrix.columns[split.feature]
            _add_by_code(scores, column, by_code, self.rows, begin, end)

        nodes = list(self._ranges)
        list(pool.map(job, nodes) if pool else map(job, nodes))

    def _leaves_after(self, splits: NodeSplits) -> set[int]:
        leaves = set(self._ranges)
        for node, (_, left, right) in splits.items():
            leaves.remove(node)
            if left in leaves or right in leaves:
                raise KeyError(left)
            leaves |= {left, right}
        return leaves

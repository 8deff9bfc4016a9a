"""Which rows are in which node: a row index in which every node is one contiguous range."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np
from numba import njit

from fed_audience.gbdt.codes import go_left_tables
from fed_audience.gbdt.prefetch import prefetch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from concurrent.futures import ThreadPoolExecutor

    from numpy.typing import NDArray

    from fed_audience.gbdt.codes import BinnedMatrix
    from fed_audience.gbdt.tree import Split

    Codes = NDArray[np.uint8]
    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]
    NodeSplits = Mapping[int, tuple[Split, int, int]]
    Rows = NDArray[np.uint32]

_PREFETCH_ROWS: Final = 32
_CODES: Final = 256
_SHARED_ROWS: Final = 1 << 15  # fewer are done sooner than another thread takes them over


@njit(nogil=True, cache=True)
def _partition(
    columns: Codes,
    features: Integers,
    go_left: Codes,
    ranges: Integers,
    rows: Rows,
    spare: Rows,
    borders: Integers,
) -> None:
    """Move each range's rows that go left to its front, keeping order; note the borders."""
    for node in range(features.size):
        column = columns[features[node]]
        table = go_left[node]
        left = np.uint64(ranges[node, 0])
        right = left
        last = np.uint64(ranges[node, 1])
        for position in range(left, last):
            ahead = position + np.uint64(_PREFETCH_ROWS)
            if ahead < last:
                prefetch(column, np.uint64(rows[ahead]))
            row = rows[position]
            goes = np.uint64(table[column[np.uint64(row)]])
            rows[left] = row
            spare[right] = row
            left += goes
            right += np.uint64(1) - goes
        first = np.uint64(ranges[node, 0])
        for position in range(right - first):
            rows[left + position] = spare[first + position]
        borders[node] = np.int64(left)


@njit(nogil=True, cache=True)
def _add_to_scores(
    scores: Floats,
    columns: Codes,
    features: Integers,
    values: Floats,
    ranges: Integers,
    rows: Rows,
) -> None:
    """Add ``values[node, code]`` to the score of each row of each range."""
    for node in range(features.size):
        column = columns[features[node]]
        by_code = values[node]
        last = np.uint64(ranges[node, 1])
        for position in range(np.uint64(ranges[node, 0]), last):
            ahead = position + np.uint64(_PREFETCH_ROWS)
            if ahead < last:
                coming = np.uint64(rows[ahead])
                prefetch(column, coming)
                prefetch(scores, coming)
            row = np.uint64(rows[position])
            scores[row] += by_code[column[row]]


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
        threads: int = 1,
    ) -> None:
        """Split each node of ``splits`` (node -> its split, left child, right child).

        A node may be a child of another one of ``splits``. Raises KeyError, before any row is
        moved, for a node that is not a leaf or a child that exists.
        """
        self._leaves_after(splits)
        waiting = list(splits)
        while waiting:
            ready = [node for node in waiting if node in self._ranges]
            borders = self._move([splits[node][0] for node in ready], ready, matrix, pool, threads)
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
        threads: int = 1,
    ) -> None:
        """Add its leaf's value to each row's score, after a last step of ``splits``.

        ``values``: leaf -> value. Rows of a node whose children are leaves are not moved any
        more: their code decides. Raises KeyError, before anything changes, for an unknown node
        or unless ``values`` names exactly the leaves.
        """
        if self._leaves_after(splits) != values.keys():
            raise KeyError("the values do not name the leaves")
        if not len(self.rows):
            return
        inner = {
            node: done for node, done in splits.items() if done[1] in splits or done[2] in splits
        }
        self.split(matrix, inner, pool, threads)

        unmoved = [node for node in self._ranges if node in splits]
        nodes = unmoved + [node for node in self._ranges if node not in splits]
        last = [splits[node] for node in unmoved]
        features = np.zeros(len(nodes), dtype=np.int64)
        features[: len(last)] = [split.feature for split, _, _ in last]
        by_code = np.empty((len(nodes), _CODES))
        by_code[: len(last)] = np.where(
            go_left_tables([split for split, _, _ in last]),
            np.array([values[left] for _, left, _ in last]).reshape(-1, 1),
            np.array([values[right] for _, _, right in last]).reshape(-1, 1),
        )
        by_code[len(last) :].T[:] = [values[node] for node in nodes[len(last) :]]
        ranges = self.ranges(nodes)

        def job(part: Integers) -> None:
            _add_to_scores(scores, matrix.columns, features, by_code, part, self.rows)

        parts = _by_rows(ranges, self.rows, threads)
        list(pool.map(job, parts) if pool and len(parts) > 1 else map(job, parts))

    def _move(
        self,
        splits: Sequence[Split],
        nodes: Sequence[int],
        matrix: BinnedMatrix,
        pool: ThreadPoolExecutor | None,
        threads: int,
    ) -> list[int]:
        """Bring the rows of each of ``nodes`` in order; return where its right child begins."""
        if not len(self.rows):
            return [0] * len(nodes)
        ranges = self.ranges(nodes)
        features = np.array([split.feature for split in splits], dtype=np.int64)
        tables = go_left_tables(splits)
        borders = np.empty(len(nodes), dtype=np.int64)

        def job(part: slice) -> None:
            _partition(
                matrix.columns,
                features[part],
                tables[part],
                ranges[part],
                self.rows,
                self._spare,
                borders[part],
            )

        parts = _by_nodes(ranges, threads)
        list(pool.map(job, parts) if pool and len(parts) > 1 else map(job, parts))
        return borders.tolist()

    def _leaves_after(self, splits: NodeSplits) -> set[int]:
        leaves = set(self._ranges)
        for node, (_, left, right) in splits.items():
            leaves.remove(node)
            if left in leaves or right in leaves:
                raise KeyError(left)
            leaves |= {left, right}
        return leaves


def _by_nodes(ranges: Integers, threads: int) -> list[slice]:
    """Cut the nodes into at most ``threads`` stretches of about as many rows each."""
    rows = ranges[:, 1] - ranges[:, 0]
    total = int(rows.sum())
    if threads == 1 or len(rows) < 2 or total < _SHARED_ROWS:  # noqa: PLR2004 - one to share
        return [slice(0, len(rows))]
    middles = np.cumsum(rows) - rows // 2
    owner = np.minimum(middles * threads // total, threads - 1)
    edges = np.searchsorted(owner, np.arange(threads + 1))
    return [slice(a, b) for a, b in pairwise(edges.tolist()) if a < b]


def _by_rows(ranges: Integers, rows: Rows, threads: int) -> list[Integers]:
    """Cut every node's range at the same row numbers: no two parts touch one cache line."""
    total = int((ranges[:, 1] - ranges[:, 0]).sum())
    if threads == 1 or total < _SHARED_ROWS:
        return [ranges]
    last = max(int(rows[end - 1]) for begin, end in ranges.tolist() if begin < end) + 1
    marks = [last * part // threads for part in range(threads + 1)]
    cuts = np.array(
        [begin + np.searchsorted(rows[begin:end], marks) for begin, end in ranges.tolist()]
    ).reshape(-1, threads + 1)
    return [np.ascontiguousarray(cuts[:, part : part + 2]) for part in range(threads)]

"""Which rows are in which node: a row index in which every node is one range of every shard.

A shard is a fixed part of the rows, moved and summed by one thread at a time: threads meet once a
level. Shards take turns in stretches of rows: they stay about equal in whatever order the rows
come, and no two threads write to one cache line.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

import numpy as np
from numba import njit

from fed_audience.gbdt.kernels.codes import go_left_tables
from fed_audience.gbdt.kernels.instructions import prefetch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from fed_audience.gbdt.kernels.codes import BinnedMatrix
    from fed_audience.gbdt.tree import Split

    Codes = NDArray[np.uint8]
    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]
    NodeSplits = Mapping[int, tuple[Split, int, int]]
    Rows = NDArray[np.uint32]

_PREFETCH_ROWS: Final = 32
_CODES: Final = 256
_STRETCH_ROWS: Final = 1024
_FIRST_LEAVES: Final = 64


@njit(nogil=True, cache=True)
def move_rows(
    columns: Codes,
    features: Integers,
    go_left: Codes,
    nodes: Integers,
    ranges: Integers,
    rows: Rows,
    spare: Rows,
) -> None:
    """Split nodes one after the other: rows that go left to the front, order kept.

    ``nodes``: int64[S, 3], places of node, left and right child in ``ranges`` (int64[places, 2]),
    which is read for the node and written for its children.
    """
    for split in range(features.size):
        column = columns[features[split]]
        table = go_left[split]
        first = np.uint64(ranges[nodes[split, 0], 0])
        last = np.uint64(ranges[nodes[split, 0], 1])
        left = first
        right = first
        for position in range(first, last):
            ahead = position + np.uint64(_PREFETCH_ROWS)
            if ahead < last:
                prefetch(column, np.uint64(rows[ahead]))
            row = rows[position]
            goes = np.uint64(table[column[np.uint64(row)]])
            rows[left] = row
            spare[right] = row
            left += goes
            right += np.uint64(1) - goes
        for position in range(right - first):
            rows[left + position] = spare[first + position]
        ranges[nodes[split, 1], 0] = np.int64(first)
        ranges[nodes[split, 1], 1] = np.int64(left)
        ranges[nodes[split, 2], 0] = np.int64(left)
        ranges[nodes[split, 2], 1] = np.int64(last)


@njit(nogil=True, cache=True)
def _add_to_scores(
    scores: Floats,
    columns: Codes,
    features: Integers,
    values: Floats,
    places: Integers,
    ranges: Integers,
    rows: Rows,
) -> None:
    """Add ``values[node, code]`` to the score of each row of each node."""
    for node in range(features.size):
        column = columns[features[node]]
        by_code = values[node]
        last = np.uint64(ranges[places[node], 1])
        for position in range(np.uint64(ranges[places[node], 0]), last):
            ahead = position + np.uint64(_PREFETCH_ROWS)
            if ahead < last:
                coming = np.uint64(rows[ahead])
                prefetch(column, coming)
                prefetch(scores, coming)
            row = np.uint64(rows[position])
            scores[row] += by_code[column[row]]


@njit(nogil=True, cache=True)
def _close(  # noqa: PLR0913, PLR0917 - a kernel's arguments are its data
    columns: Codes,
    features: Integers,
    go_left: Codes,
    nodes: Integers,
    ranges: Integers,
    rows: Rows,
    spare: Rows,
    scores: Floats,
    last_features: Integers,
    values: Floats,
    places: Integers,
) -> None:
    """Move rows, then add to their scores: one call, as each costs a hand-over between threads."""
    move_rows(columns, features, go_left, nodes, ranges, rows, spare)
    _add_to_scores(scores, columns, last_features, values, places, ranges, rows)


@dataclass(frozen=True, slots=True)
class Sharded:
    """Row numbers, shard after shard; shard s owns ``rows[bounds[s]:bounds[s + 1]]``."""

    rows: Rows
    bounds: Integers

    @classmethod
    def of(cls, trained: NDArray[np.bool_], shards: int) -> Self:
        """Deal out rows to ``shards`` shards that train, then to as many that do not.

        ``trained``: bool[n]; shards k and ``shards`` + k share their stretches of rows.
        """
        turns = -(-len(trained) // (_STRETCH_ROWS * shards))
        numbers = np.arange(turns * shards * _STRETCH_ROWS, dtype=np.uint32)
        front: list[Rows] = []
        rest: list[Rows] = []
        for shard in range(shards):
            own = numbers.reshape(turns, shards, _STRETCH_ROWS)[:, shard].reshape(-1)
            own = own[: np.searchsorted(own, len(trained))]
            front.append(own[trained[own]])
            rest.append(own[~trained[own]])
        sizes = [len(shard) for shard in (*front, *rest)]
        return cls(np.concatenate((*front, *rest)), np.append(0, np.cumsum(sizes)))


@dataclass(frozen=True, slots=True)
class Moves:
    """Splits as ``move_rows`` takes them, in their order."""

    features: Integers
    go_left: Codes
    nodes: Integers


@dataclass(frozen=True, slots=True)
class Closing:
    """The last moves of a tree, and what each row's score gains: a value by node and code."""

    moves: Moves
    features: Integers
    values: Floats
    places: Integers


class RowPartition:
    """The rows of one tree, by node. Node 0 is the root and holds all of ``dealt`` at the start.

    ``plan`` and ``plan_end`` say what a step moves; ``split`` and ``finish`` do it to one shard,
    and may do it to different shards at once.
    """

    def __init__(self, dealt: Sharded) -> None:
        self._dealt = dealt
        self.rows = np.empty_like(dealt.rows)
        self.spare = np.empty_like(dealt.rows)
        self._ranges = np.zeros((len(dealt.bounds) - 1, _FIRST_LEAVES, 2), dtype=np.int64)
        self.restart()
        for shard in range(self.shards):
            self.refill(shard)

    @property
    def shards(self) -> int:
        """Number of shards."""
        return len(self._ranges)

    def restart(self) -> None:
        """Put every row back into the root; ``refill`` brings each shard's back in order."""
        self._places = {0: 0}
        self._ranges[:, 0, 0] = self._dealt.bounds[:-1]
        self._ranges[:, 0, 1] = self._dealt.bounds[1:]

    def refill(self, shard: int) -> None:
        """Bring the rows of a shard back into their first order."""
        own = slice(self._dealt.bounds[shard], self._dealt.bounds[shard + 1])
        self.rows[own] = self._dealt.rows[own]

    def nodes(self) -> frozenset[int]:
        """Return the nodes that are leaves so far."""
        return frozenset(self._places)

    def places(self, nodes: Sequence[int]) -> Integers:
        """Places of ``nodes`` in ``ranges``: int64[K]. Raises KeyError for one that is no leaf."""
        return np.array([self._places[node] for node in nodes], dtype=np.int64)

    def ranges(self, shard: int) -> Integers:
        """Return int64[places, 2]: where in ``rows`` a shard's rows of each node begin and end."""
        found: Integers = self._ranges[shard]
        return found

    def check(self, splits: NodeSplits, build: Sequence[int]) -> None:
        """Raise KeyError unless ``plan`` can follow and leaves each of ``build`` a leaf."""
        leaves = self._leaves_after(splits)
        if unknown := set(build) - leaves:
            raise KeyError(min(unknown))

    def check_end(self, splits: NodeSplits, values: Mapping[int, float]) -> None:
        """Raise KeyError unless ``values`` names exactly the leaves after ``splits``."""
        if self._leaves_after(splits) != values.keys():
            raise KeyError("the values do not name the leaves")

    def plan(self, splits: NodeSplits) -> Moves:
        """Say how to split each node of ``splits`` (node -> its split, left child, right child).

        A node may be a child of one before it. Raises KeyError, before anything changes, for a
        node that is not a leaf or a child that exists.
        """
        self._leaves_after(splits)
        nodes = np.empty((len(splits), 3), dtype=np.int64)
        for index, (node, (_, left, right)) in enumerate(splits.items()):
            place = self._places.pop(node)
            self._places[left] = place
            self._places[right] = len(self._places)
            nodes[index] = place, place, self._places[right]
        self._make_room()
        chosen = [split for split, _, _ in splits.values()]
        features = np.array([split.feature for split in chosen], dtype=np.int64)
        return Moves(features, go_left_tables(chosen), nodes)

    def plan_end(self, splits: NodeSplits, values: Mapping[int, float]) -> Closing:
        """Say how to end the tree after a last step of ``splits``, with a value for each leaf.

        Rows of a node whose children are leaves are not moved any more: their code decides.
        Raises KeyError, before anything changes, for an unknown node or unless ``values`` names
        exactly the leaves.
        """
        self.check_end(splits, values)
        inner = {
            node: done for node, done in splits.items() if done[1] in splits or done[2] in splits
        }
        moves = self.plan(inner)
        unmoved = [node for node in self._places if node in splits]
        nodes = unmoved + [node for node in self._places if node not in splits]
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
        return Closing(moves, features, by_code, self.places(nodes))

    def split(self, matrix: BinnedMatrix, moves: Moves, shard: int) -> None:
        """Move a shard's rows."""
        if len(self.rows):
            move_rows(
                matrix.columns,
                moves.features,
                moves.go_left,
                moves.nodes,
                self.ranges(shard),
                self.rows,
                self.spare,
            )

    def finish(self, matrix: BinnedMatrix, closing: Closing, scores: Floats, shard: int) -> None:
        """Move a shard's rows for the last time and add their leaves' values to ``scores``."""
        if not len(self.rows):
            return
        moves = closing.moves
        _close(
            matrix.columns,
            moves.features,
            moves.go_left,
            moves.nodes,
            self.ranges(shard),
            self.rows,
            self.spare,
            scores,
            closing.features,
            closing.values,
            closing.places,
        )

    def _make_room(self) -> None:
        """Give each node a place of its own."""
        leaves, room = len(self._places), self._ranges.shape[1]
        if leaves > room:
            self._ranges = np.pad(self._ranges, ((0, 0), (0, max(leaves - room, room)), (0, 0)))

    def _leaves_after(self, splits: NodeSplits) -> set[int]:
        leaves = set(self._places)
        for node, (_, left, right) in splits.items():
            leaves.remove(node)
            if left in leaves or right in leaves:
                raise KeyError(left)
            leaves |= {left, right}
        return leaves

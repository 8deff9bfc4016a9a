"""The rows of one place while trees grow: gradients, histograms, partition, scores."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numba import njit

from fed_audience.gbdt.growing.sampling import bagged_rows
from fed_audience.gbdt.kernels.codes import CODES_PER_WORD
from fed_audience.gbdt.kernels.flushing import DrawnSlots
from fed_audience.gbdt.kernels.histogram import SlotLayout, fill_histograms, rows_before_flush
from fed_audience.gbdt.kernels.packed_sums import PAIRS
from fed_audience.gbdt.kernels.partition import RowPartition, Sharded, move_rows
from fed_audience.gbdt.kernels.team import ALONE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from fed_audience.gbdt.bins import FeatureBins
    from fed_audience.gbdt.kernels.codes import BinnedMatrix
    from fed_audience.gbdt.kernels.flushing import HistogramForm
    from fed_audience.gbdt.kernels.packed_sums import PackedSlots
    from fed_audience.gbdt.kernels.partition import Moves, NodeSplits
    from fed_audience.gbdt.kernels.team import Team
    from fed_audience.gbdt.objectives import Objective
    from fed_audience.gbdt.parameters import TrainingParameters

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

_SHARED_ROWS: Final = 1 << 14
"""Rows below which a thread does them sooner than another takes half of them over."""

_SHARDS: Final = 2
"""Shards for each thread: who is done sooner, or comes later, has less to wait for another."""


@njit(nogil=True, cache=True)
def _grow(  # noqa: PLR0913, PLR0917 - a kernel's arguments are its data
    columns: NDArray[np.uint8],
    features: Integers,
    go_left: NDArray[np.uint8],
    nodes: Integers,
    ranges: Integers,
    rows: NDArray[np.uint32],
    spare: NDArray[np.uint32],
    words: NDArray[np.uint64],
    stride: int,
    places: Integers,
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
    """Move rows, then fill ``out``: one call, as each costs a hand-over between threads."""
    move_rows(columns, features, go_left, nodes, ranges, rows, spare)
    fill_histograms(
        words, stride, rows, places, ranges, packed, flush_rows, offsets, sizes, hessian_bits,
        wide, wide_cells, out, added,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class BinnedRows:
    """Rows to learn from: the first ``training_rows`` train, the rest validate.

    ``matrix``: codes of all n rows; ``labels``: float64[n]; ``weights``: float64[n] or None where
    each weighs 1; ``hashes``: uint64[n] of the rows' keys, None where no bagging asks for them.
    """

    matrix: BinnedMatrix
    labels: Floats
    training_rows: int
    weights: Floats | None = None
    hashes: NDArray[np.uint64] | None = None

    @property
    def training(self) -> slice:
        """Where the training rows are."""
        return slice(0, self.training_rows)

    @property
    def validation(self) -> slice:
        """Where the validation rows are."""
        return slice(self.training_rows, None)

    def weights_of(self, part: slice) -> Floats | None:
        """Weights of a part of the rows."""
        return None if self.weights is None else self.weights[part]


class RowBooster:
    """Scores and the current trees' nodes of rows at hand; a tree a class grows at a time.

    Rows that a round of trees does not train with are scored along.
    """

    def __init__(
        self,
        rows: BinnedRows,
        bins: Sequence[FeatureBins],
        objective: Objective,
        parameters: TrainingParameters,
        *,
        team: Team = ALONE,
    ) -> None:
        self.rows = rows
        self.layout = SlotLayout.from_bins(bins)
        self.objective = objective
        self.scores = np.zeros((objective.classes, rows.matrix.rows))
        self.team = team
        self._parameters = parameters
        self._sharing = team.threads > 1 and rows.matrix.rows >= _SHARED_ROWS
        self._shards = _SHARDS * team.threads if self._sharing else 1
        self._pairs = np.empty((objective.classes, rows.training_rows), dtype=np.int64)
        self._parts = [np.empty(0, np.int64)] * (team.threads if self._sharing else 1)
        self.drawn = DrawnSlots(self.layout, np.arange(len(bins)))
        self._place(np.arange(rows.matrix.rows) < rows.training_rows)

    def start_run(self, base_scores: Floats) -> None:
        """Give the rows their first scores: float64[classes, 1] or float64[classes, n]."""
        self.scores[:] = base_scores

    def start_trees(self, number: int) -> Integers:
        """Start round ``number`` of trees (from 0) with every row in the root of each class.

        Draws the rows to train with and computes their gradients; returns the roots' histograms,
        int64[classes, slots, 2].
        """
        return _copied_pairs(self.start_rooting(number)())

    def start_rooting(self, number: int, packed: PackedSlots = PAIRS) -> Callable[[], Integers]:
        """``start_trees`` with the histograms in the background, as ``start_growing`` has them."""
        rows = self.rows
        self.objective.gradient_pairs(
            np.ascontiguousarray(self.scores[:, rows.training]),
            rows.labels[rows.training],
            rows.weights_of(rows.training),
            self._pairs,
            team=self.team,
        )
        self.place_rows(number)
        classes = self.objective.classes
        return self.start_growing([{}] * classes, [[0]] * classes, packed)

    def draw(self, features: Integers) -> None:
        """Sum only slots of ``features``, int64[m] ascending, from here on; all at the start."""
        if not np.array_equal(features, self.drawn.features):
            self.drawn = DrawnSlots(self.layout, features)

    def place_rows(self, number: int) -> None:
        """Put every row in the root of each class, those that round ``number`` draws to train."""
        rows, fraction = self.rows, self._parameters.bagging_fraction
        if fraction < 1.0:
            assert rows.hashes is not None  # noqa: S101 - what BinnedRows asks for
            seed = self._parameters.seed
            drawn = bagged_rows(rows.hashes, seed=seed, tree=number, fraction=fraction)
            drawn[rows.validation] = False
            self._place(drawn)
        else:
            for partition in self._partitions:
                partition.restart()

    def grow(self, splits: Sequence[NodeSplits], build: Sequence[Sequence[int]]) -> Integers:
        """Split nodes, then sum the training rows of others: int64[K, slots, 2].

        ``splits[c]`` and ``build[c]`` are of class c; the histograms come class after class.
        Raises KeyError, before anything changes, for a node that is not a leaf or a child that
        exists.
        """
        return _copied_pairs(self.start_growing(splits, build)())

    def start_growing(
        self,
        splits: Sequence[NodeSplits],
        build: Sequence[Sequence[int]],
        packed: PackedSlots = PAIRS,
    ) -> Callable[[], Integers]:
        """``grow`` in the background; the histograms are there for the asking, until the next ones.

        They come in the form of ``packed``, int64[K, width].

        All is checked before anything is planned: a planned node that is never moved has no rows.
        """
        for partition, of_class, nodes in zip(self._partitions, splits, build, strict=True):
            partition.check(of_class, nodes)
        moves = [
            partition.plan(of_class)
            for partition, of_class in zip(self._partitions, splits, strict=True)
        ]
        places = [
            partition.places(of_class)
            for partition, of_class in zip(self._partitions, build, strict=True)
        ]
        ends = np.cumsum([0, *map(len, places)])
        form = self.drawn.form(packed)
        room = deque((part, False) for part in self._room_for(int(ends[-1]), form.width))

        def job(shard: int) -> None:
            sums, begun = room.popleft()  # one a thread at a time: there are as many as threads
            for class_, partition in enumerate(self._partitions):
                own = sums[ends[class_] : ends[class_ + 1]]
                self._grow_shard(
                    shard, partition, moves[class_], places[class_], self._pairs[class_], form,
                    own, begun,
                )  # fmt: skip
                partition.split(self.rows.matrix, moves[class_], self._shards + shard)
            room.appendleft((sums, True))

        work = self.team.start(job, range(self._shards))

        def summed() -> Integers:
            work.results()
            total, *others = (sums for sums, begun in room if begun)
            for sums in others:
                total += sums
            return total

        return summed

    def _room_for(self, nodes: int, width: int) -> list[Integers]:
        """Return histograms to fill, a part a thread: memory that is used over and over."""
        size = nodes * width
        if size > len(self._parts[0]):
            self._parts = [np.empty(size, np.int64) for _ in self._parts]
        return [part[:size].reshape(nodes, width) for part in self._parts]

    def finish_trees(
        self, splits: Sequence[NodeSplits], values: Sequence[Mapping[int, float]]
    ) -> None:
        """Add its leaf's value to each row's score, by class, after the last ``splits``.

        Raises KeyError, before anything changes, for unknown nodes, or unless ``values[c]`` names
        exactly the leaves of c.
        """
        for partition, of_class, leaves in zip(self._partitions, splits, values, strict=True):
            partition.check_end(of_class, leaves)
        ends = [
            partition.plan_end(of_class, leaves)
            for partition, of_class, leaves in zip(self._partitions, splits, values, strict=True)
        ]

        def job(shard: int) -> None:
            for class_, partition in enumerate(self._partitions):
                for part in (shard, self._shards + shard):
                    partition.finish(self.rows.matrix, ends[class_], self.scores[class_], part)
                    partition.refill(part)

        self.team.map(job, range(self._shards))

    def validation_loss(self) -> int:
        """Fixed-point sum of the validation rows' losses, in the objective's unit."""
        rows = self.rows
        return self.objective.loss_sum(
            np.ascontiguousarray(self.scores[:, rows.validation]),
            rows.labels[rows.validation],
            rows.weights_of(rows.validation),
        )

    def clipped_rows(self) -> int:
        """Training rows whose gradient does not fit the label cap at their present scores."""
        if self.objective.bounded:
            return 0
        training = self.rows.training
        scores = np.ascontiguousarray(self.scores[:, training])
        return self.objective.clipped(scores, self.rows.labels[training])

    def validation_codes(self) -> NDArray[np.uint8]:
        """Codes of the validation rows, uint8[n, features]."""
        return np.ascontiguousarray(self.rows.matrix.columns[:, self.rows.validation].T)

    def _grow_shard(
        self,
        shard: int,
        partition: RowPartition,
        moves: Moves,
        places: Integers,
        pairs: Integers,
        form: HistogramForm,
        out: Integers,
        added: bool,  # noqa: FBT001 - the kernel takes it by position
    ) -> None:
        matrix = self.rows.matrix
        _grow(
            matrix.columns,
            moves.features,
            moves.go_left,
            moves.nodes,
            partition.ranges(shard),
            partition.rows,
            partition.spare,
            matrix.words,
            matrix.stride // CODES_PER_WORD,
            places,
            pairs,
            rows_before_flush(self.objective.fixed),
            form.offsets,
            self.layout.sizes,
            form.hessian_bits,
            form.wide,
            form.wide_cells,
            out,
            added,
        )

    def _place(self, drawn: NDArray[np.bool_]) -> None:
        """Give the rows of ``drawn``, bool[n], to the trees and score the others along."""
        dealt = Sharded.of(drawn, self._shards)
        self._partitions = [RowPartition(dealt) for _ in range(self.objective.classes)]


def _copied_pairs(sums: Integers) -> Integers:
    """Histograms in the form ``PAIRS`` as int64[K, slots, 2]."""
    return sums.reshape(len(sums), sums.shape[1] // 2, 2).copy()

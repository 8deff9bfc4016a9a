"""One site without messages: enough to drive a grower."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fed_audience.gbdt.bins import MISSING_CODE, CategoryBins, FeatureBins, NumericBins
from fed_audience.gbdt.growing.grower import TreeGrower
from fed_audience.gbdt.kernels.codes import CODES_PER_WORD, BinnedMatrix
from fed_audience.gbdt.kernels.flushing import DrawnSlots
from fed_audience.gbdt.kernels.histogram import SlotLayout, fill_histograms, rows_before_flush
from fed_audience.gbdt.kernels.packed_sums import PAIRS, PackedSlots
from fed_audience.gbdt.kernels.partition import RowPartition, Sharded
from fed_audience.gbdt.objectives import objective_of
from fed_audience.gbdt.parameters import TrainingParameters

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fed_audience.gbdt.fixed_point import FixedPoint


class Rows:
    """What a site does, without messages: enough to drive a grower."""

    def __init__(
        self, columns: NDArray[np.uint8], bins: list[FeatureBins], labels: NDArray[np.float64]
    ) -> None:
        self.bins = bins
        self.labels = labels
        self.matrix = BinnedMatrix.from_columns(columns, bins)
        self.layout = SlotLayout.from_bins(bins)
        self.trains_with(np.ones(len(labels), dtype=bool))
        self.pairs = np.empty(len(labels), dtype=np.int64)
        self.scores = np.zeros(len(labels))
        self.built: list[int] = []

    def trains_with(self, drawn: NDArray[np.bool_]) -> None:
        """Train with the rows of ``drawn``, bool[n]."""
        self.partition = RowPartition(Sharded.of(drawn, 1))
        self.drawn = int(drawn.sum())

    def grower(self, parameters: TrainingParameters, **options: Any) -> TreeGrower:
        """A grower for the binary gradients at the rows' scores."""
        objective = objective_of(parameters)
        objective.gradient_pairs(self.scores, self.labels, None, self.pairs)
        return self.restarted(parameters, objective.fixed, **options)

    def restarted(
        self, parameters: TrainingParameters, fixed: FixedPoint, **options: Any
    ) -> TreeGrower:
        """A grower for ``pairs`` as they are, all rows of the partition in the root."""
        self.fixed = fixed
        self.partition.restart()
        self.built = []
        return TreeGrower(self.layout, parameters, fixed, self.drawn, **options)

    def grow(self, parameters: TrainingParameters, **options: Any) -> TreeGrower:
        return self.grown(self.grower(parameters, **options))

    def grown(self, grower: TreeGrower) -> TreeGrower:
        """Grow the tree to its end and add its leaves to the scores."""
        step = grower.start(self.histograms([0])[0])
        while True:
            moves = {done.node: (done.split, done.left, done.right) for done in step.splits}
            if not step.build:
                break
            planned = self.partition.plan(moves)
            for shard in range(self.partition.shards):
                self.partition.split(self.matrix, planned, shard)
            step = grower.advance(self.histograms(step.build))
        ending = self.partition.plan_end(moves, grower.leaf_values())
        for shard in range(self.partition.shards):
            self.partition.finish(self.matrix, ending, self.scores, shard)
            self.partition.refill(shard)
        return grower

    def histograms(self, nodes: Sequence[int]) -> NDArray[np.int64]:
        self.built += list(nodes)
        places, ranges = self.partition.places(nodes), self.partition.ranges(0)
        rows = self.partition.rows
        return histograms(self.matrix, self.layout, rows, ranges[places], self.pairs, self.fixed)


def histograms(
    matrix: BinnedMatrix,
    layout: SlotLayout,
    rows: NDArray[np.uint32],
    ranges: NDArray[np.int64],
    pairs: NDArray[np.int64],
    fixed: FixedPoint,
    packed: PackedSlots = PAIRS,
) -> NDArray[np.int64]:
    """Histograms of the ``ranges`` of ``rows``, int64[K, slots, 2] or as ``packed``."""
    form = DrawnSlots(layout, np.arange(len(layout.sizes))).form(packed)
    out = np.full((len(ranges), form.width), -1, dtype=np.int64)
    stride, flush = matrix.stride // CODES_PER_WORD, rows_before_flush(fixed)
    fill_histograms(
        matrix.words,
        stride,
        rows,
        np.arange(len(ranges)),
        ranges,
        pairs,
        flush,
        form.offsets,
        layout.sizes,
        packed.hessian_bits,
        form.wide,
        form.wide_cells,
        out,
        False,
    )
    return out.reshape(len(ranges), -1, 2) if packed is PAIRS else out


def example(rows: int, seed: int) -> Rows:
    r = np.random.default_rng(seed)
    bins: list[FeatureBins] = [
        NumericBins(tuple(range(11))),
        NumericBins(tuple(range(2))),
        NumericBins(()),
        CategoryBins(tuple(range(3))),
        CategoryBins(tuple(range(9))),
    ]
    columns = np.stack([r.integers(0, b.size, rows) for b in bins]).astype(np.uint8)
    columns[r.random(columns.shape) < 0.15] = MISSING_CODE
    columns[1][columns[1] == MISSING_CODE] = 0
    z = np.sin(columns[0] % 12) + (columns[4] % 2) * (columns[1] == 1) + (columns[2] > 9)
    labels = (z + r.logistic(size=rows) > 1.0).astype(float)
    labels[:2] = [0.0, 1.0]
    return Rows(columns, bins, labels)

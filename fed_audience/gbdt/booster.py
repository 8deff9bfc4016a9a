"""The rows of one place while trees grow: gradients, histograms, partition, scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fed_audience.gbdt.histogram import SlotLayout, build_histograms
from fed_audience.gbdt.partition import RowPartition
from fed_audience.gbdt.sampling import bagged_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from concurrent.futures import ThreadPoolExecutor

    from numpy.typing import NDArray

    from fed_audience.gbdt.bins import FeatureBins
    from fed_audience.gbdt.codes import BinnedMatrix
    from fed_audience.gbdt.objectives import Objective
    from fed_audience.gbdt.parameters import TrainingParameters
    from fed_audience.gbdt.tree import Split

    Floats = NDArray[np.float64]
    NodeSplits = Mapping[int, tuple[Split, int, int]]


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
        pool: ThreadPoolExecutor | None = None,
        threads: int = 1,
    ) -> None:
        self.rows = rows
        self.layout = SlotLayout.from_bins(bins)
        self.objective = objective
        self.scores = np.zeros((objective.classes, rows.matrix.rows))
        self._parameters = parameters
        self.pool = pool
        self.threads = threads
        self._pairs = np.empty((objective.classes, rows.training_rows), dtype=np.int64)
        self._numbers = np.arange(rows.matrix.rows, dtype=np.uint32)
        self._place(self._numbers[rows.training], self._numbers[rows.validation])

    def start_run(self, base_scores: Floats) -> None:
        """Give the rows their first scores: float64[classes, 1] or float64[classes, n]."""
        self.scores[:] = base_scores

    def start_trees(self, number: int) -> NDArray[np.int64]:
        """Start round ``number`` of trees (from 0) with every row in the root of each class.

        Draws the rows to train with and computes their gradients; returns the roots' histograms,
        int64[classes, slots, 2].
        """
        rows = self.rows
        self.objective.gradient_pairs(
            np.ascontiguousarray(self.scores[:, rows.training]),
            rows.labels[rows.training],
            rows.weights_of(rows.training),
            self._pairs,
            pool=self.pool,
            threads=self.threads,
        )
        fraction = self._parameters.bagging_fraction
        if fraction < 1.0:
            assert rows.hashes is not None  # noqa: S101 - what BinnedRows asks for
            seed = self._parameters.seed
            drawn = bagged_rows(rows.hashes, seed=seed, tree=number, fraction=fraction)
            drawn[rows.validation] = False
            self._place(self._numbers[drawn], self._numbers[~drawn])
        else:
            for partition in (*self._training, *self._others):
                partition.restart()
        return self.histograms([[0]] * self.objective.classes)

    def split(self, splits: Sequence[NodeSplits]) -> None:
        """Move the rows of split nodes to their children; ``splits[c]`` are of class c.

        Raises KeyError for a node that is not a leaf or a child that exists.
        """
        for of_class, *partitions in zip(splits, self._training, self._others, strict=True):
            for partition in partitions:
                partition.split(self.rows.matrix, of_class, self.pool, self.threads)

    def histograms(self, nodes: Sequence[Sequence[int]]) -> NDArray[np.int64]:
        """Histograms of the training rows of ``nodes[c]`` of each class c: int64[K, slots, 2].

        Raises KeyError for a node that does not exist.
        """
        parts = [
            build_histograms(
                self.rows.matrix,
                self.layout,
                partition.rows,
                partition.ranges(of_class),
                pairs,
                self.objective.fixed,
                pool=self.pool,
                threads=self.threads,
            )
            for of_class, partition, pairs in zip(nodes, self._training, self._pairs, strict=True)
            if of_class
        ]
        if len(parts) == 1:
            return parts[0]
        nothing = np.zeros((0, self.layout.slots, 2), dtype=np.int64)
        return np.concatenate([nothing, *parts])

    def finish_trees(
        self, splits: Sequence[NodeSplits], values: Sequence[Mapping[int, float]]
    ) -> None:
        """Add its leaf's value to each row's score, by class, after the last ``splits``.

        Raises KeyError for unknown nodes, or unless ``values[c]`` names exactly the leaves of c.
        """
        for class_, partitions in enumerate(zip(self._training, self._others, strict=True)):
            for partition in partitions:
                partition.finish(
                    self.rows.matrix,
                    splits[class_],
                    values[class_],
                    self.scores[class_],
                    self.pool,
                    self.threads,
                )

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

    def _place(self, training: NDArray[np.uint32], others: NDArray[np.uint32]) -> None:
        classes = range(self.objective.classes)
        self._training = [RowPartition(training) for _ in classes]
        self._others = [RowPartition(others) for _ in classes]

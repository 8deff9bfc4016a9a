"""A site's part in growing trees: gradients, histograms, partition, scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fed_audience.federation.refusal import Refusal
from fed_audience.gbdt.histogram import SlotLayout, build_histograms
from fed_audience.gbdt.objectives import objective_of
from fed_audience.gbdt.parameters import TrainingParameters
from fed_audience.gbdt.partition import RowPartition

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from concurrent.futures import ThreadPoolExecutor

    from numpy.typing import NDArray

    from fed_audience.gbdt.bins import FeatureBins
    from fed_audience.gbdt.codes import BinnedMatrix
    from fed_audience.gbdt.tree import Split

    NodeSplits = Mapping[int, tuple[Split, int, int]]


class SiteBooster:
    """Scores and the current tree's nodes of the rows of one site.

    ``matrix``: codes of all rows, the first ``training_rows`` train, the rest validate.
    ``labels``: float64[rows]. The fixed-point scale follows from ``row_cap`` alone.
    """

    def __init__(
        self,
        matrix: BinnedMatrix,
        bins: Sequence[FeatureBins],
        labels: NDArray[np.float64],
        training_rows: int,
        row_cap: int,
        *,
        pool: ThreadPoolExecutor | None = None,
        threads: int = 1,
    ) -> None:
        self._matrix = matrix
        self._layout = SlotLayout.from_bins(bins)
        self._labels = labels
        self._training_rows = training_rows
        self._objective = objective_of(TrainingParameters(row_cap=row_cap))
        self._pool = pool
        self._threads = threads
        self._scores = np.zeros(matrix.rows)
        self._pairs = np.empty(training_rows, dtype=np.int64)
        rows = np.arange(matrix.rows, dtype=np.uint32)
        self._training = RowPartition(rows[:training_rows])
        self._validation = RowPartition(rows[training_rows:])

    def start_run(self, base_score: float) -> None:
        """Give every row the same first score."""
        self._scores[:] = base_score

    def start_tree(self) -> NDArray[np.int64]:
        """Compute gradients, put every row into the root; its histogram, int64[slots, 2]."""
        self._objective.gradient_pairs(
            self._scores[: self._training_rows],
            self._labels[: self._training_rows],
            None,
            self._pairs,
            pool=self._pool,
            threads=self._threads,
        )
        self._training.restart()
        self._validation.restart()
        root: NDArray[np.int64] = self.histograms([0])[0]
        return root

    def split(self, splits: NodeSplits) -> None:
        """Move the rows of each split node to its children. Raises Refusal for unknown nodes."""
        try:
            for partition in (self._training, self._validation):
                partition.split(self._matrix, splits, self._pool)
        except KeyError as error:
            raise Refusal("wrong_state", detail=f"node {error}") from error

    def histograms(self, nodes: Sequence[int]) -> NDArray[np.int64]:
        """Histograms of the training rows of ``nodes``, int64[K, slots, 2]."""
        if not self._training.nodes() >= set(nodes):
            raise Refusal("wrong_state", detail="a node to build does not exist")
        return build_histograms(
            self._matrix,
            self._layout,
            self._training.rows,
            self._training.ranges(nodes),
            self._pairs,
            self._objective.fixed,
            pool=self._pool,
            threads=self._threads,
        )

    def finish_tree(self, splits: NodeSplits, values: Mapping[int, float]) -> None:
        """Add its leaf's value to each row's score, after the last ``splits``.

        Raises Refusal for unknown nodes, or unless ``values`` names exactly the leaves.
        """
        try:
            for partition in (self._training, self._validation):
                partition.finish(self._matrix, splits, values, self._scores, self._pool)
        except KeyError as error:
            raise Refusal("wrong_state", detail=f"node {error}") from error

    def validation_loss(self) -> int:
        """Fixed-point sum of the validation rows' losses."""
        return self._objective.loss_sum(
            self._scores[self._training_rows :], self.validation_labels, None
        )

    @property
    def validation_labels(self) -> NDArray[np.float64]:
        """Labels of the validation rows, float64[n]."""
        return self._labels[self._training_rows :]

    def validation_codes(self) -> NDArray[np.uint8]:
        """Codes of the validation rows, uint8[n, features]."""
        return np.ascontiguousarray(self._matrix.columns[:, self._training_rows :].T)

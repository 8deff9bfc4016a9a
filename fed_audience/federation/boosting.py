"""Growing the trees: one round a level, leaf values riding on the next trees' roots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fed_audience.federation import events as e
from fed_audience.federation import messages as m
from fed_audience.federation.packing import Packing
from fed_audience.federation.payload import leaves_to_arrays, nodes_to_array, splits_to_arrays
from fed_audience.federation.sum_checks import SumChecks
from fed_audience.gbdt.histogram import SlotLayout
from fed_audience.gbdt.lockstep import LockstepGrowth
from fed_audience.gbdt.sampling import drawn_features
from fed_audience.privacy.masks import RING_64, Ring

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from fed_audience.federation.coordinator import Coordinator
    from fed_audience.federation.events import TrainingEvent
    from fed_audience.federation.manifest import Manifest
    from fed_audience.federation.train import RowCounts
    from fed_audience.gbdt.bins import FeatureBins
    from fed_audience.gbdt.growing import NodeSplit
    from fed_audience.gbdt.objectives import Objective
    from fed_audience.gbdt.tree import Tree


@dataclass(frozen=True, slots=True)
class GrownTrees:
    """All trees that were finished, a tree a class in each round, and how many rounds to keep.

    ``clipped``: share of all gradients that did not fit the label cap.
    """

    trees: tuple[Tree, ...]
    best_iteration: int
    stopped: Literal["all_trees", "early_stopping", "no_gain"]
    losses: tuple[float, ...]
    clipped: float


class BoostingRounds:
    """The trees of one run at the coordinator.

    The trees of all classes grow in the same rounds. The validation loss of the trees so far comes
    with the next roots. Losses are compared as integers; of equal ones the earlier wins.
    """

    def __init__(
        self,
        coordinator: Coordinator,
        manifest: Manifest,
        bins: tuple[FeatureBins, ...],
        objective: Objective,
        counts: RowCounts,
        rows_by_slot: NDArray[np.int64],
        base_scores: tuple[float, ...],
        on_event: Callable[[TrainingEvent], None],
    ) -> None:
        self._coordinator = coordinator
        self._manifest = manifest
        self._parameters = manifest.parameters
        self._layout = SlotLayout.from_bins(bins)
        self._objective = objective
        self._counts = counts
        self._base_scores = np.array(base_scores)
        self._on_event = on_event
        self._names = [feature.name for feature in manifest.features]
        signs = dict(manifest.parameters.monotone_constraints)
        self._monotone = np.array([signs.get(name, 0) for name in self._names], dtype=np.int8)
        self._checks = SumChecks(rows_by_slot, objective.fixed, self._names)
        self._trees: list[tuple[Tree, ...]] = []
        self._losses: list[int] = []
        self._clipped: list[int] = []

    def run(self) -> GrownTrees:
        """Grow trees until all are grown, the loss stops falling, or nothing gains."""
        nothing: list[dict[int, float]] = [{} for _ in range(self._objective.classes)]
        closing = _closing([() for _ in nothing], nothing)
        stopped: Literal["all_trees", "early_stopping", "no_gain"] = "all_trees"
        for number in range(self._parameters.n_estimators):
            drawn = self._draw(number)
            roots = self._start(number, drawn, closing)
            if self._overdue():
                stopped = "early_stopping"
                break
            growing = LockstepGrowth(
                self._layout, self._parameters, self._objective.fixed, self._rows, drawn,
                self._monotone,
            )  # fmt: skip
            self._grow(number, growing, roots)
            trees = growing.trees()
            if not any(tree.splits for tree in trees):
                stopped = "no_gain"
                break
            self._trees.append(trees)
            closing = _closing(growing.unsent(), growing.leaf_values())
            leaves = sum(tree.leaves for tree in trees)
            self._on_event(e.TreeGrown(number + 1, self._parameters.n_estimators, leaves))
        else:
            self._finish(closing)
        kept = self._best() if self._validates else len(self._trees)
        self._on_event(e.TrainingStopped(stopped, len(self._trees), kept))
        return GrownTrees(
            tuple(tree for trees in self._trees for tree in trees),
            kept,
            stopped,
            tuple(self._mean(loss) for loss in self._losses),
            sum(self._clipped) / max(self._counts.rows * len(self._clipped), 1),
        )

    @property
    def _validates(self) -> bool:
        return self._parameters.early_stopping_round > 0 and self._counts.validation_rows > 0

    @property
    def _rows(self) -> int:
        """Rows that a tree is expected to train with."""
        return max(1, round(self._counts.rows * self._parameters.bagging_fraction))

    @property
    def _gradient_bound(self) -> int:
        """Largest sum of gradients that the rows of all sites can have, in units."""
        return self._counts.rows * self._objective.fixed.gradient_bound

    def _draw(self, number: int) -> NDArray[np.int64]:
        mask = drawn_features(
            self._names,
            fraction=self._parameters.feature_fraction,
            seed=self._parameters.seed,
            tree=number,
        )
        return np.flatnonzero(mask)

    def _start(
        self, number: int, drawn: NDArray[np.int64], closing: dict[str, Any]
    ) -> NDArray[np.int64]:
        """Close the trees before and get the roots' histograms; note what comes along."""
        hessian_bound = self._counts.rows * self._objective.fixed.hessian_bound
        packing = Packing.of_bounds(self._gradient_bound, hessian_bound)
        request = m.StartTree(
            slot=self._coordinator.slot(number, 0),
            base_scores=self._base_scores,
            features=drawn.astype(np.int32),
            packing=packing,
            **closing,
        )
        classes = self._objective.classes
        size = packing.size(classes * self._layout.only(drawn).slots, rides=2)
        sums = self._sum(request, m.RootHistogram, size, packing.ring)
        pairs, (loss, clipped) = packing.unpack(sums, rides=2)
        roots = pairs.reshape(classes, -1, 2)
        self._checks.roots(number, roots, drawn, self._layout)
        self._checks.rides(number, int(loss), int(clipped), self._counts.rows * classes)
        self._note_loss(int(loss))
        self._clipped.append(int(clipped))
        return roots

    def _grow(self, number: int, growing: LockstepGrowth, roots: NDArray[np.int64]) -> None:
        growing.start(roots)
        level = 0
        while build := growing.build:
            level += 1
            packing = Packing.of_bounds(self._gradient_bound, growing.largest_hessian)
            request = m.GrowLevel(
                slot=self._coordinator.slot(number, level),
                build=nodes_to_array(build),
                packing=packing,
                **splits_to_arrays(growing.unsent()),
            )
            nodes = sum(map(len, build))
            size = packing.size(nodes * growing.slots)
            sums = self._sum(request, m.LevelHistogram, size, packing.ring)
            pairs, _ = packing.unpack(sums)
            built = pairs.reshape(nodes, -1, 2)
            self._checks.children(number, built, growing.parents_of_build())
            growing.advance(built)

    def _finish(self, closing: dict[str, Any]) -> None:
        """Close the last trees, when nothing else would, and get their loss."""
        slot = self._coordinator.slot(len(self._trees), 0)
        request = m.FinishTraining(slot=slot, **closing)
        self._note_loss(int(self._sum(request, m.ValidationLoss, 1)[0]))

    def _sum(
        self, request: m.Request, kind: type[m.VectorReply], size: int, ring: Ring = RING_64
    ) -> NDArray[np.int64]:
        return self._coordinator.sum(request, self._manifest.training_sites, kind, size, ring)

    def _note_loss(self, loss: int) -> None:
        if not self._validates:
            return
        self._losses.append(loss)
        trees = len(self._losses) - 1
        self._on_event(e.ValidationMeasured(trees, self._mean(loss), self._best() == trees))

    def _best(self) -> int:
        return self._losses.index(min(self._losses))

    def _overdue(self) -> bool:
        if not self._validates:
            return False
        return len(self._losses) - 1 - self._best() >= self._parameters.early_stopping_round

    def _mean(self, loss: int) -> float:
        return self._objective.mean_loss(loss, self._counts.validation_weight)


def _closing(
    last: Sequence[Sequence[NodeSplit]], values: Sequence[dict[int, float]]
) -> dict[str, Any]:
    return {**splits_to_arrays(last), **leaves_to_arrays(values)}

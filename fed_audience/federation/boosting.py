"""Growing the trees: one round a level, leaf values riding on the next tree's root."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fed_audience.federation import events as e
from fed_audience.federation import messages as m
from fed_audience.federation.payload import leaves_to_arrays, splits_to_arrays
from fed_audience.gbdt.arithmetic import LOSS_BITS
from fed_audience.gbdt.growing import GrowthStep, TreeGrower
from fed_audience.gbdt.histogram import SlotLayout
from fed_audience.gbdt.objectives import objective_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from fed_audience.federation.coordinator import Coordinator
    from fed_audience.federation.events import TrainingEvent
    from fed_audience.federation.manifest import Manifest
    from fed_audience.federation.train import RowCounts
    from fed_audience.gbdt.bins import FeatureBins
    from fed_audience.gbdt.tree import Tree


@dataclass(frozen=True, slots=True)
class GrownTrees:
    """All trees that were finished, and how many of them to keep."""

    trees: tuple[Tree, ...]
    best_iteration: int
    stopped: Literal["all_trees", "early_stopping", "no_gain"]
    losses: tuple[float, ...]


class BoostingRounds:
    """The trees of one run at the coordinator.

    The validation loss of the trees so far comes with the next root. Losses are compared as
    integers; of equal ones the earlier wins.
    """

    def __init__(
        self,
        coordinator: Coordinator,
        manifest: Manifest,
        bins: tuple[FeatureBins, ...],
        counts: RowCounts,
        base_score: float,
        on_event: Callable[[TrainingEvent], None],
    ) -> None:
        self._coordinator = coordinator
        self._manifest = manifest
        self._parameters = manifest.parameters
        self._layout = SlotLayout.from_bins(bins)
        self._counts = counts
        self._base_score = base_score
        self._fixed = objective_of(manifest.parameters).fixed
        self._on_event = on_event
        self._trees: list[Tree] = []
        self._losses: list[int] = []

    def run(self) -> GrownTrees:
        """Grow trees until all are grown, the loss stops falling, or nothing gains."""
        closing = _closing(GrowthStep((), ()), {})
        stopped: Literal["all_trees", "early_stopping", "no_gain"] = "all_trees"
        for number in range(self._parameters.n_estimators):
            root = self._start(number, closing)
            if self._overdue():
                stopped = "early_stopping"
                break
            grower, last = self._grow(number, root)
            tree = grower.tree()
            if not tree.splits:
                stopped = "no_gain"
                break
            self._trees.append(tree)
            closing = _closing(last, grower.leaf_values())
            self._on_event(e.TreeGrown(number + 1, self._parameters.n_estimators, tree.leaves))
        else:
            self._finish(closing)
        kept = self._best() if self._validates else len(self._trees)
        self._on_event(e.TrainingStopped(stopped, len(self._trees), kept))
        losses = tuple(self._mean(loss) for loss in self._losses)
        return GrownTrees(tuple(self._trees), kept, stopped, losses)

    @property
    def _validates(self) -> bool:
        return self._parameters.early_stopping_round > 0 and self._counts.validation_rows > 0

    def _start(self, number: int, closing: dict[str, Any]) -> NDArray[np.int64]:
        """Close the tree before and get the root's histogram; note the loss that comes along."""
        request = m.StartTree(
            slot=self._coordinator.slot(number, 0), base_score=self._base_score, **closing
        )
        size = 2 * self._layout.slots
        sums = self._sum(request, m.RootHistogram, size + 1)
        self._note_loss(int(sums[size]))
        return sums[:size].reshape(-1, 2)

    def _grow(self, number: int, root: NDArray[np.int64]) -> tuple[TreeGrower, GrowthStep]:
        grower = TreeGrower(self._layout, self._parameters, self._fixed, self._counts.rows)
        step = grower.start(root)
        level = 0
        while step.build:
            level += 1
            request = m.GrowLevel(
                slot=self._coordinator.slot(number, level),
                build=np.array(step.build, dtype=np.int32),
                **splits_to_arrays(step.splits),
            )
            size = len(step.build) * self._layout.slots * 2
            sums = self._sum(request, m.LevelHistogram, size)
            step = grower.advance(sums.reshape(len(step.build), -1, 2))
        return grower, step

    def _finish(self, closing: dict[str, Any]) -> None:
        """Close the last tree, when nothing else would, and get its loss."""
        slot = self._coordinator.slot(len(self._trees), 0)
        request = m.FinishTraining(slot=slot, **closing)
        self._note_loss(int(self._sum(request, m.ValidationLoss, 1)[0]))

    def _sum(self, request: m.Request, kind: type[m.VectorReply], size: int) -> NDArray[np.int64]:
        return self._coordinator.sum(request, self._manifest.training_sites, kind, size)

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
        return loss / (self._counts.validation_rows << LOSS_BITS)


def _closing(last: GrowthStep, values: dict[int, float]) -> dict[str, Any]:
    return {**splits_to_arrays(last.splits), **leaves_to_arrays(values)}

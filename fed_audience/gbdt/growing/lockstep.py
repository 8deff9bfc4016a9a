"""One round of boosting: the trees of all classes grow level by level together."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from fed_audience.gbdt.growing.grower import GrowthStep, NodeSplit, TreeGrower
from fed_audience.gbdt.growing.histogram_pool import HistogramPool
from fed_audience.gbdt.kernels.team import ALONE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fed_audience.gbdt.fixed_point import FixedPoint
    from fed_audience.gbdt.kernels.histogram import SlotLayout
    from fed_audience.gbdt.kernels.team import Team
    from fed_audience.gbdt.parameters import TrainingParameters
    from fed_audience.gbdt.tree import Split, Tree

    Integers = NDArray[np.int64]


class LockstepGrowth:
    """A grower a class over the features that were drawn, numbered as in the whole ``layout``.

    ``drawn``: int64[m] ascending; histograms hold the slots of these alone. ``monotone``: int8[F].
    ``pool`` keeps histograms between levels; it is emptied for these trees.
    """

    def __init__(
        self,
        layout: SlotLayout,
        parameters: TrainingParameters,
        fixed: FixedPoint,
        rows: int,
        drawn: Integers,
        monotone: NDArray[np.int8],
        team: Team = ALONE,
        pool: HistogramPool | None = None,
    ) -> None:
        seen = layout.only(drawn)
        signs = monotone[drawn] if monotone.any() else None
        self.slots = seen.slots
        self.pool = pool or HistogramPool()
        self.pool.start(seen.slots)
        self._numbers = None if len(drawn) == len(layout.sizes) else drawn.tolist()
        self._new_grower = partial(
            TreeGrower, seen, parameters, fixed, rows, monotone=signs, team=team, pool=self.pool
        )
        self._growers: list[TreeGrower] = []
        self._steps: list[GrowthStep] = []
        self._unsent: list[list[NodeSplit]] = []

    def start(self, roots: Integers) -> None:
        """Take the roots' summed histograms, int64[classes, slots, 2]."""
        self._growers = [self._new_grower() for _ in roots]
        self._unsent = [[] for _ in roots]
        self._take([grower.start(root) for grower, root in zip(self._growers, roots, strict=True)])

    @property
    def build(self) -> list[tuple[int, ...]]:
        """Nodes to build next, by class; empty where every tree has ended."""
        build = [step.build for step in self._steps]
        return build if any(build) else []

    @property
    def largest_hessian(self) -> int:
        """The largest hessian sum, in units, of a node that is built next."""
        sums = [
            grower.hessian_of(node)
            for grower, step in zip(self._growers, self._steps, strict=True)
            for node in step.build
        ]
        return max(sums, default=0)

    def parents_of_build(self) -> list[int]:
        """Places in the pool of the parents of the nodes to build, class after class."""
        return [place for grower in self._growers for place in grower.parents_of_build()]

    def unsent(self) -> list[list[NodeSplit]]:
        """Hand out the splits that no site has been told of yet, by class."""
        unsent, self._unsent = self._unsent, [[] for _ in self._unsent]
        return unsent

    def advance(self, built: Integers) -> None:
        """Take the summed histograms of ``build``, int64[nodes, slots, 2], class after class."""
        steps, first = list[GrowthStep](), 0
        for grower, step in zip(self._growers, self._steps, strict=True):
            stop = first + len(step.build)
            ended = GrowthStep((), ())
            steps.append(grower.advance(built[first:stop]) if step.build else ended)
            first = stop
        self._take(steps)

    def trees(self) -> tuple[Tree, ...]:
        """Return the grown trees, one a class."""
        grown = [grower.tree() for grower in self._growers]
        return tuple(replace(tree, splits=self._numbered(tree.splits)) for tree in grown)

    def leaf_values(self) -> list[dict[int, float]]:
        """Value of each leaf by node, for each class."""
        return [grower.leaf_values() for grower in self._growers]

    def _take(self, steps: list[GrowthStep]) -> None:
        self._steps = steps
        for unsent, step in zip(self._unsent, steps, strict=True):
            splits = self._numbered(tuple(done.split for done in step.splits))
            unsent += [
                NodeSplit(done.node, split, done.left, done.right)
                for done, split in zip(step.splits, splits, strict=True)
            ]

    def _numbered(self, splits: tuple[Split, ...]) -> tuple[Split, ...]:
        """Return splits with their features numbered as in the whole layout."""
        if self._numbers is None:
            return splits
        return tuple(replace(split, feature=self._numbers[split.feature]) for split in splits)

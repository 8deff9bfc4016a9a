"""One round of boosting: the trees of all classes grow level by level together."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from fed_audience.gbdt.growing.grower import GrowthStep, NodeSplit, TreeGrower
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
    ) -> None:
        seen = layout.only(drawn)
        signs = monotone[drawn] if monotone.any() else None
        self.slots = seen.slots
        self._drawn = drawn
        self._new_grower = partial(
            TreeGrower, seen, parameters, fixed, rows, monotone=signs, team=team
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

    def parents_of_build(self) -> list[Integers]:
        """Histograms of the parents of the nodes to build, class after class."""
        return [parent for grower in self._growers for parent in grower.parents_of_build()]

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
        return tuple(replace(t, splits=tuple(map(self._numbered, t.splits))) for t in grown)

    def leaf_values(self) -> list[dict[int, float]]:
        """Value of each leaf by node, for each class."""
        return [grower.leaf_values() for grower in self._growers]

    def _take(self, steps: list[GrowthStep]) -> None:
        self._steps = steps
        for unsent, step in zip(self._unsent, steps, strict=True):
            unsent += [replace(done, split=self._numbered(done.split)) for done in step.splits]

    def _numbered(self, split: Split) -> Split:
        """Return a split with its feature numbered as in the whole layout."""
        return replace(split, feature=int(self._drawn[split.feature]))

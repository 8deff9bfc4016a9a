"""Growing one tree at the coordinator, from summed histograms alone.

The grower answers every summed histogram with a ``GrowthStep``: which nodes the sites split, and
which children they build next. Of two siblings only the one with less hessian is built; the
other is parent minus child. A step that builds nothing ends the tree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fed_audience.gbdt.growing.histogram_pool import NO_PLACE, HistogramPool
from fed_audience.gbdt.growing.splitting import (
    Child,
    Family,
    Found,
    OutputRange,
    SplitRules,
    find_split,
    find_splits,
)
from fed_audience.gbdt.kernels.team import ALONE
from fed_audience.gbdt.tree import NodeSums, Split, Tree

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fed_audience.gbdt.fixed_point import FixedPoint
    from fed_audience.gbdt.kernels.histogram import SlotLayout
    from fed_audience.gbdt.kernels.team import Team
    from fed_audience.gbdt.parameters import TrainingParameters


@dataclass(frozen=True, slots=True)
class NodeSplit:
    """Node ``node`` becomes internal; its rows go to the nodes ``left`` and ``right``."""

    node: int
    split: Split
    left: int
    right: int


@dataclass(frozen=True, slots=True)
class GrowthStep:
    """What the sites do next: split nodes, then build the histograms of ``build`` in that order."""

    splits: tuple[NodeSplit, ...]
    build: tuple[int, ...]


@dataclass(slots=True)
class _Node:
    depth: int
    sums: NodeSums
    l2: float
    bounds: OutputRange
    may_split: bool
    place: int = NO_PLACE
    best: Found | None = None

    @property
    def child(self) -> Child:
        """What a search takes."""
        return Child(self.sums, self.bounds, self.may_split)


@dataclass(frozen=True, slots=True)
class _Siblings:
    parent: int
    built: int
    derived: int


class TreeGrower:
    """Depth-wise growth of one tree, or best-first with ``leaves_per_round`` splits a round.

    ``fixed`` says what the integers are worth, ``rows`` are the training rows of all sites.
    ``features``: bool[F], those drawn for this tree (all by default); ``monotone``: int8[F], -1 or
    +1 where the score may only fall or rise with the feature, 0 elsewhere. ``team`` searches the
    nodes of a step, ``pool`` keeps their histograms. Node numbers are given in order of creation,
    the root is 0. Raises FederationError when a summed histogram contradicts itself or its parent.
    """

    def __init__(
        self,
        layout: SlotLayout,
        parameters: TrainingParameters,
        fixed: FixedPoint,
        rows: int,
        *,
        features: NDArray[np.bool_] | None = None,
        monotone: NDArray[np.int8] | None = None,
        team: Team = ALONE,
        pool: HistogramPool | None = None,
    ) -> None:
        count = len(layout.sizes)
        self._layout = layout
        self._parameters = parameters
        self._fixed = fixed
        self._rows = rows
        self._team = team
        self._features = np.ones(count, dtype=np.bool_) if features is None else features
        self._monotone = np.zeros(count, dtype=np.int8) if monotone is None else monotone
        self._nodes: dict[int, _Node] = {}
        self._splits: list[NodeSplit] = []
        self._open: set[int] = set()
        self._families: list[_Siblings] = []
        if pool is None:
            pool = HistogramPool()
            pool.start(layout.slots)
        self._pool = pool

    def start(self, histogram: NDArray[np.int64]) -> GrowthStep:
        """Take the root's summed histogram, int64[slots, 2]; return the first step."""
        first = histogram[: int(self._layout.offsets[1])].sum(axis=0)
        root = NodeSums(int(first[0]), int(first[1]))
        self._rules = SplitRules.of_tree(
            self._parameters,
            self._fixed,
            root,
            self._rows,
            self._layout,
            drawn=self._features,
            monotone=self._monotone,
        )
        node = self._add(0, root, self._rules.lambda_l2, self._rules.widest)
        if node.may_split:
            node.place = self._pool.take()
            self._pool.sums[node.place] = histogram
            self._open_if(0, find_split(histogram, node.child, self._layout, self._rules))
        return self._step()

    def advance(self, built: NDArray[np.int64]) -> GrowthStep:
        """Take the summed histograms of the last step's ``build``, int64[K, slots, 2]."""
        families, self._families = self._families, []
        known = [self._family(siblings) for siblings in families]
        splits = find_splits(self._pool.sums, built, known, self._layout, self._rules, self._team)
        for siblings, (derived, own) in zip(families, splits, strict=True):
            self._open_if(siblings.derived, derived)
            self._open_if(siblings.built, own)
        return self._step()

    def hessian_of(self, node: int) -> int:
        """Hessian sum of ``node`` in units, as the split of its parent says."""
        return self._nodes[node].sums.hessian

    def parents_of_build(self) -> list[int]:
        """Places in the pool of the histograms of the parents of the nodes to build."""
        return [self._nodes[siblings.parent].place for siblings in self._families]

    def leaf_values(self) -> dict[int, float]:
        """Value of each leaf so far, by node: its output times the learning rate."""
        split = {done.node for done in self._splits}
        return {
            number: self._value(node) for number, node in self._nodes.items() if number not in split
        }

    def tree(self) -> Tree:
        """Return the grown tree: internal nodes in order of splitting, leaves by node number."""
        values = self.leaf_values()
        place = {done.node: index for index, done in enumerate(self._splits)}
        place |= {number: -index - 1 for index, number in enumerate(values)}
        return Tree(
            splits=tuple(done.split for done in self._splits),
            left=tuple(place[done.left] for done in self._splits),
            right=tuple(place[done.right] for done in self._splits),
            leaf_values=tuple(values.values()),
            internal_sums=tuple(self._nodes[done.node].sums for done in self._splits),
            leaf_sums=tuple(self._nodes[number].sums for number in values),
        )

    def _value(self, node: _Node) -> float:
        output = self._rules.output(node.sums, node.l2, node.bounds)
        unit = self._fixed.gradient_unit / self._fixed.hessian_unit
        return self._parameters.learning_rate * (output * unit)

    def _family(self, siblings: _Siblings) -> Family:
        """Hand the parent's histogram down to the derived child, and find room for the built."""
        parent = self._nodes[siblings.parent]
        derived, built = self._nodes[siblings.derived], self._nodes[siblings.built]
        place, parent.place = parent.place, NO_PLACE
        derived.place = place
        if built.may_split and self._has_grandchildren(built):
            built.place = self._pool.take()
        return Family(place, built.place, derived.child, built.child)

    def _has_grandchildren(self, node: _Node) -> bool:
        """Whether children of ``node`` may be split: they need its histogram."""
        return node.depth + 1 < self._parameters.max_depth

    def _open_if(self, number: int, best: Found | None) -> None:
        """Open a node for the split that was found, if any; let go of what nobody needs."""
        node = self._nodes[number]
        node.best = best
        if best is not None:
            self._open.add(number)
        if best is None or not self._has_grandchildren(node):
            node.place = self._pool.give_back(node.place)

    def _add(self, depth: int, sums: NodeSums, l2: float, bounds: OutputRange) -> _Node:
        may_split = depth < self._parameters.max_depth and self._rules.can_split(sums)
        node = _Node(depth, sums, l2, bounds, may_split)
        self._nodes[len(self._nodes)] = node
        return node

    def _choose(self) -> list[int]:
        """Pick open nodes to split now: best gain first, then the lowest number."""
        budget = self._parameters.num_leaves - 1 - len(self._splits)
        candidates = self._open
        if self._parameters.leaves_per_round:
            budget = min(budget, self._parameters.leaves_per_round)
        elif candidates:
            level = min(self._nodes[number].depth for number in candidates)
            candidates = {n for n in candidates if self._nodes[n].depth == level}
        ranked = sorted(candidates, key=self._rank)
        return sorted(ranked[: max(budget, 0)])

    def _rank(self, number: int) -> tuple[float, int]:
        best = self._nodes[number].best
        return (-best.split.gain if best else 0.0, number)

    def _step(self) -> GrowthStep:
        """Split chosen nodes until a child has to be built or nothing is left to split."""
        done: list[NodeSplit] = []
        while not self._families and (chosen := self._choose()):
            done += [self._split(number) for number in chosen]
            if len(self._splits) + 1 < self._parameters.num_leaves:
                self._families = [
                    found for split in done[-len(chosen) :] if (found := self._siblings(split))
                ]
        return GrowthStep(tuple(done), tuple(siblings.built for siblings in self._families))

    def _split(self, number: int) -> NodeSplit:
        node = self._nodes[number]
        found = node.best
        assert found is not None  # noqa: S101 - only open nodes, which have one, are chosen
        self._open.discard(number)
        left = len(self._nodes)
        l2 = self._rules.leaf_l2(found.split, self._layout)
        ranges = self._rules.child_ranges(found, node.sums, node.bounds)
        for sums, bounds in zip((found.left, node.sums - found.left), ranges, strict=True):
            self._add(node.depth + 1, sums, l2, bounds)
        done = NodeSplit(number, found.split, left, left + 1)
        self._splits.append(done)
        return done

    def _siblings(self, done: NodeSplit) -> _Siblings | None:
        """Decide which child is built, or None where neither child may be split further."""
        left, right = self._nodes[done.left], self._nodes[done.right]
        if not (left.may_split or right.may_split):
            node = self._nodes[done.node]
            node.place = self._pool.give_back(node.place)
            return None
        if left.sums.hessian <= right.sums.hessian:
            return _Siblings(done.node, done.left, done.right)
        return _Siblings(done.node, done.right, done.left)

"""Growing one tree at the coordinator, from summed histograms alone.

The grower answers every summed histogram with a ``GrowthStep``: which nodes the sites split, and
which children they build next. Of two siblings only the one with less hessian is built; the
other is parent minus child. A step that builds nothing ends the tree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fed_audience.gbdt.splitting import SplitRules, find_split, left_sums
from fed_audience.gbdt.tree import NodeSums, Split, Tree

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fed_audience.gbdt.histogram import SlotLayout
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
    histogram: NDArray[np.int64] | None = None
    best: Split | None = None


@dataclass(frozen=True, slots=True)
class _Family:
    parent: int
    built: int
    derived: int


class TreeGrower:
    """Depth-wise growth of one tree, or best-first in batches of ``leaves_per_round``.

    ``rows`` are the training rows of all sites, ``scale`` the fixed-point scale. Node numbers
    are given in order of creation, the root is 0. Raises FederationError when a summed histogram
    contradicts itself or its parent.
    """

    def __init__(
        self,
        layout: SlotLayout,
        parameters: TrainingParameters,
        scale: int,
        rows: int,
        *,
        leaves_per_round: int | None = None,
    ) -> None:
        self._layout = layout
        self._parameters = parameters
        self._scale = scale
        self._rows = rows
        self._leaves_per_round = leaves_per_round
        self._nodes: dict[int, _Node] = {}
        self._splits: list[NodeSplit] = []
        self._open: set[int] = set()
        self._families: list[_Family] = []

    def start(self, histogram: NDArray[np.int64]) -> GrowthStep:
        """Take the root's summed histogram, int64[slots, 2]; return the first step."""
        first = histogram[: int(self._layout.offsets[1])].sum(axis=0)
        root = NodeSums(int(first[0]), int(first[1]))
        self._rules = SplitRules.of_tree(self._parameters, self._scale, root, self._rows)
        self._nodes[0] = _Node(0, root, self._parameters.lambda_l2, histogram)
        self._find([0])
        return self._step()

    def advance(self, built: NDArray[np.int64]) -> GrowthStep:
        """Take the summed histograms of the last step's ``build``, int64[K, slots, 2]."""
        ready: list[int] = []
        for family, histogram in zip(self._families, built, strict=True):
            parent = self._nodes[family.parent]
            assert parent.histogram is not None  # noqa: S101 - kept until its children are known
            self._nodes[family.built].histogram = histogram
            rest = np.subtract(parent.histogram, histogram, out=parent.histogram)
            self._nodes[family.derived].histogram = rest
            parent.histogram = None
            ready += sorted((family.built, family.derived))
        self._families = []
        self._find(ready)
        return self._step()

    def leaf_values(self) -> dict[int, float]:
        """Value of each leaf so far, by node: - learning_rate * G / (H + l2)."""
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
        weight = node.sums.hessian + node.l2 * self._scale
        if weight <= 0:
            return 0.0
        return -self._parameters.learning_rate * (node.sums.gradient / weight)

    def _find(self, numbers: list[int]) -> None:
        """Find the best split of each node that may be split; it is then open."""
        for number in numbers:
            node = self._nodes[number]
            if self._may_split(node) and node.histogram is not None:
                node.best = find_split(node.histogram, node.sums, self._layout, self._rules)
                if node.best is not None:
                    self._open.add(number)

    def _may_split(self, node: _Node) -> bool:
        return node.depth < self._parameters.max_depth and self._rules.can_split(node.sums)

    def _choose(self) -> list[int]:
        """Pick open nodes to split now: best gain first, then the lowest number."""
        budget = self._parameters.num_leaves - 1 - len(self._splits)
        candidates = self._open
        if self._leaves_per_round is None and candidates:
            level = min(self._nodes[number].depth for number in candidates)
            candidates = {n for n in candidates if self._nodes[n].depth == level}
        else:
            budget = min(budget, self._leaves_per_round or budget)
        ranked = sorted(candidates, key=self._rank)
        return sorted(ranked[: max(budget, 0)])

    def _rank(self, number: int) -> tuple[float, int]:
        best = self._nodes[number].best
        return (-best.gain if best else 0.0, number)

    def _step(self) -> GrowthStep:
        """Split chosen nodes until a child has to be built or nothing is left to split."""
        done: list[NodeSplit] = []
        while not self._families and (chosen := self._choose()):
            done += [self._split(number) for number in chosen]
            if len(self._splits) + 1 < self._parameters.num_leaves:
                self._families = [
                    family for split in done[-len(chosen) :] if (family := self._family(split))
                ]
        return GrowthStep(tuple(done), tuple(family.built for family in self._families))

    def _split(self, number: int) -> NodeSplit:
        node = self._nodes[number]
        split = node.best
        assert split is not None  # noqa: S101 - only open nodes, which have one, are chosen
        assert node.histogram is not None  # noqa: S101 - the same
        self._open.discard(number)
        one = left_sums(split, node.histogram, self._layout)
        other = NodeSums(node.sums.gradient - one.gradient, node.sums.hessian - one.hessian)
        left = len(self._nodes)
        l2 = self._rules.leaf_l2(split, self._layout)
        self._nodes[left] = _Node(node.depth + 1, one, l2)
        self._nodes[left + 1] = _Node(node.depth + 1, other, l2)
        done = NodeSplit(number, split, left, left + 1)
        self._splits.append(done)
        return done

    def _family(self, done: NodeSplit) -> _Family | None:
        """Decide which child is built, or None where neither child may be split further."""
        left, right = self._nodes[done.left], self._nodes[done.right]
        if not (self._may_split(left) or self._may_split(right)):
            self._nodes[done.node].histogram = None
            return None
        if left.sums.hessian <= right.sums.hessian:
            return _Family(done.node, done.left, done.right)
        return _Family(done.node, done.right, done.left)

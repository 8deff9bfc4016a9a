"""A learner that is slow and obviously right, to hold the fast one against.

One row at a time, Python integers, every candidate split spelled out. It shares with the learner
only the sigmoid, which has tests of its own, and the nouns (bins, splits, trees).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import floor
from typing import TYPE_CHECKING

import numpy as np

from fed_audience.gbdt.arithmetic import sigmoids
from fed_audience.gbdt.bins import MISSING_CODE, FeatureBins
from fed_audience.gbdt.tree import NodeSums, Split, Tree
from tests.gbdt.oracle_splits import Range, Rules, Sums, best_split

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from fed_audience.gbdt.fixed_point import FixedPoint
    from fed_audience.gbdt.parameters import TrainingParameters

Pairs = tuple[list[int], list[int]]


def fixed_point(scores: NDArray[np.float64], labels: NDArray[np.float64], scale: int) -> Pairs:
    gradients, hessians = [], []
    for p, y in zip(sigmoids(scores).tolist(), labels.tolist(), strict=True):
        gradients.append(floor((p - y) * scale + 0.5))
        hessians.append(max(1, floor(p * (1.0 - p) * scale + 0.5)))
    return gradients, hessians


def histogram(
    codes: NDArray[np.uint8], rows: Sequence[int], pairs: Pairs, bins: Sequence[FeatureBins]
) -> list[list[Sums]]:
    """Per feature: sums of each bin, then of the missing."""
    result = []
    for feature, feature_bins in enumerate(bins):
        sums = [[0, 0] for _ in range(feature_bins.size + 1)]
        for row in rows:
            code = int(codes[row, feature])
            cell = sums[feature_bins.size if code == MISSING_CODE else code]
            cell[0] += pairs[0][row]
            cell[1] += pairs[1][row]
        result.append([(g, h) for g, h in sums])
    return result


def goes_left(split: Split, code: int) -> bool:
    if split.categorical:
        return code in split.left_codes
    return split.missing_left if code == MISSING_CODE else code <= split.bin


@dataclass
class Node:
    rows: list[int]
    depth: int
    sums: Sums
    l2: float
    bounds: Range


@dataclass
class Growth:
    """One tree in the making: nodes by number, and which of them were split."""

    codes: NDArray[np.uint8]
    pairs: Pairs
    bins: Sequence[FeatureBins]
    rules: Rules
    nodes: list[Node]
    done: list[tuple[int, Split, int, int]]

    def best(self, number: int) -> tuple[Split, Sums] | None:
        node = self.nodes[number]
        deep = node.depth == self.rules.parameters.max_depth
        if deep or node.sums[1] < 2 * self.rules.least:
            return None
        sums = histogram(self.codes, node.rows, self.pairs, self.bins)
        return best_split(sums, self.bins, self.rules, node.bounds)

    def split(self, number: int, split: Split, left: Sums) -> tuple[int, int]:
        """Give the node two children and return their numbers."""
        node, p = self.nodes[number], self.rules.parameters
        right = (node.sums[0] - left[0], node.sums[1] - left[1])
        l2 = p.lambda_l2 + p.cat_l2 if self.rules.many(self.bins[split.feature]) else p.lambda_l2
        below = above = node.bounds
        if not split.categorical and (sign := self.rules.signs[split.feature]):
            ends = [self.rules.output(side, l2, node.bounds) for side in (left, right)]
            middle = (ends[0] + ends[1]) / 2
            below, above = (node.bounds[0], middle), (middle, node.bounds[1])
            if sign < 0:
                below, above = above, below
        for side, sums, bounds in ((True, left, below), (False, right, above)):
            rows = [
                row
                for row in node.rows
                if goes_left(split, int(self.codes[row, split.feature])) is side
            ]
            self.nodes.append(Node(rows, node.depth + 1, sums, l2, bounds))
        self.done.append((number, split, len(self.nodes) - 2, len(self.nodes) - 1))
        return len(self.nodes) - 2, len(self.nodes) - 1

    def grow(self) -> None:
        """By level, or ``leaves_per_round`` of the best at a time."""
        p = self.rules.parameters
        found = {0: best} if (best := self.best(0)) else {}
        while found:
            shallowest = min(self.nodes[number].depth for number in found)
            may = [
                number
                for number in found
                if p.leaves_per_round or self.nodes[number].depth == shallowest
            ]
            may.sort(key=lambda number: (-found[number][0].gain, number))
            room = p.num_leaves - 1 - len(self.done)
            chosen = sorted(may[: min(room, p.leaves_per_round or room)])
            children: list[int] = []
            for number in chosen:
                children += self.split(number, *found.pop(number))
            if len(self.done) == p.num_leaves - 1:
                return
            found |= {child: best for child in children if (best := self.best(child))}

    def tree(self) -> tuple[Tree, list[int]]:
        place = {number: index for index, (number, *_) in enumerate(self.done)}
        leaves = [number for number in range(len(self.nodes)) if number not in place]
        place |= {number: -index - 1 for index, number in enumerate(leaves)}
        rate = self.rules.parameters.learning_rate
        values = []
        for number in leaves:
            node = self.nodes[number]
            values.append(rate * self.rules.output(node.sums, node.l2, node.bounds))
        tree = Tree(
            splits=tuple(split for _, split, _, _ in self.done),
            left=tuple(place[left] for _, _, left, _ in self.done),
            right=tuple(place[right] for *_, right in self.done),
            leaf_values=tuple(values),
            internal_sums=tuple(NodeSums(*self.nodes[number].sums) for number, *_ in self.done),
            leaf_sums=tuple(NodeSums(*self.nodes[number].sums) for number in leaves),
        )
        return tree, leaves


def grow_tree(
    codes: NDArray[np.uint8],
    pairs: Pairs,
    bins: Sequence[FeatureBins],
    parameters: TrainingParameters,
    fixed: FixedPoint,
    *,
    rows: Sequence[int] | None = None,
    drawn: Sequence[bool] | None = None,
    signs: Sequence[int] | None = None,
) -> Tree:
    """Grow one tree from the gradients and hessians of ``rows`` (all by default)."""
    members = list(range(len(codes)) if rows is None else rows)
    root = (sum(pairs[0][row] for row in members), sum(pairs[1][row] for row in members))
    rules = Rules(
        parameters,
        fixed,
        Fraction(len(members), root[1]),
        signs or [0] * len(bins),
        drawn or [True] * len(bins),
    )
    first = Node(members, 0, root, parameters.lambda_l2, rules.widest)
    growth = Growth(codes, pairs, bins, rules, [first], [])
    growth.grow()
    return growth.tree()[0]


def leaf_of(tree: Tree, codes: NDArray[np.uint8]) -> int:
    """Leaf that a row of ``codes`` falls into."""
    node = 0 if tree.splits else -1
    while node >= 0:
        split = tree.splits[node]
        left = goes_left(split, int(codes[split.feature]))
        node = tree.left[node] if left else tree.right[node]
    return -node - 1


def boost(  # noqa: PLR0913 - what is drawn comes by name
    codes: NDArray[np.uint8],
    bins: Sequence[FeatureBins],
    parameters: TrainingParameters,
    fixed: FixedPoint,
    base_scores: Sequence[float],
    pairs_of: Callable[[NDArray[np.float64]], list[Pairs]],
    *,
    bags: Sequence[Sequence[int]] | None = None,
    draws: Sequence[Sequence[bool]] | None = None,
    signs: Sequence[int] | None = None,
) -> list[Tree]:
    """Every tree, class after class within an iteration, without validation rows.

    ``pairs_of`` gives each class its gradients and hessians at scores float64[K, n]; ``bags`` and
    ``draws`` are the rows and features of each iteration.
    """
    scores = np.repeat(np.array(base_scores)[:, None], len(codes), axis=1)
    trees = []
    for iteration in range(parameters.n_estimators):
        grown = [
            grow_tree(
                codes,
                pairs,
                bins,
                parameters,
                fixed,
                rows=bags[iteration] if bags else None,
                drawn=draws[iteration] if draws else None,
                signs=signs,
            )
            for pairs in pairs_of(scores)
        ]
        if not any(tree.splits for tree in grown):
            break
        for own, tree in zip(scores, grown, strict=True):
            for row in range(len(codes)):
                own[row] += tree.leaf_values[leaf_of(tree, codes[row])]
        trees += grown
    return trees

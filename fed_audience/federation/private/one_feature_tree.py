"""A tree of one feature, every bin a leaf, from the noisy sums of its bins."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from fed_audience.federation.private.recipe import HESSIAN_FACTOR, LARGEST_STEP, RIDGE
from fed_audience.gbdt.bins import CategoryBins
from fed_audience.gbdt.tree import NodeSums, Split, Tree

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fed_audience.gbdt.bins import FeatureBins

    Floats = NDArray[np.float64]

TOLD_APART: Final = 3.0
"""Deviations of noise below which there may be no missing value: their leaf says nothing."""


def ridge(deviation: float) -> float:
    """Ridge of a leaf whose gradient sum has noise of ``deviation``."""
    return max(1.0, RIDGE * deviation)


def leaf_values(
    gradients: Floats, hessians: Floats, *, deviation: float, learning_rate: float
) -> Floats:
    """Newton steps of bins from noisy sums, float64[bins + 1], the missing last.

    ``deviation``: of the noise in a gradient sum; that in a hessian sum has a third of it.
    """
    steps = -gradients / (np.maximum(hessians, 0.0) + ridge(deviation))
    values: Floats = learning_rate * np.clip(steps, -LARGEST_STEP, LARGEST_STEP)
    if hessians[-1] < TOLD_APART * deviation / HESSIAN_FACTOR:
        values[-1] = 0.0
    return values


def one_feature_tree(
    feature: int, bins: FeatureBins, values: Floats, sums: NDArray[np.int64], ridge_units: float
) -> Tree:
    """Return the balanced tree that gives each bin of ``feature`` its value.

    ``values``: float64[bins + 1]; ``sums``: int64[bins + 1, 2], noisy gradients and hessians in
    units, of which gains are made. The missing are a leaf of their own, on the right.
    """
    return _Growing(feature, isinstance(bins, CategoryBins), values, sums, ridge_units).tree()


@dataclass
class _Growing:
    feature: int
    categorical: bool
    values: Floats
    sums: NDArray[np.int64]
    ridge: float
    splits: list[Split] = field(default_factory=list)
    left: list[int] = field(default_factory=list)
    right: list[int] = field(default_factory=list)
    inner: list[NodeSums] = field(default_factory=list)
    leaves: list[int] = field(default_factory=list)

    def tree(self) -> Tree:
        self._grow(0, len(self.values))
        return Tree(
            splits=tuple(self.splits),
            left=tuple(self.left),
            right=tuple(self.right),
            leaf_values=tuple(float(self.values[slot]) for slot in self.leaves),
            internal_sums=tuple(self.inner),
            leaf_sums=tuple(self._node(slot, slot + 1) for slot in self.leaves),
        )

    def _grow(self, begin: int, end: int) -> int:
        """Grow the node of slots ``begin`` to ``end``; return its number as a child has it."""
        if end - begin == 1:
            self.leaves.append(begin)
            return -len(self.leaves)
        last = len(self.values) - 1
        # The root parts the missing from all others: a number's 'anything present'.
        middle = last if end > last else (begin + end) // 2
        node = len(self.splits)
        self.splits.append(self._split(begin, middle, end))
        self.inner.append(self._node(begin, end))
        self.left.append(0)
        self.right.append(0)
        self.left[node] = self._grow(begin, middle)
        self.right[node] = self._grow(middle, end)
        return node

    def _split(self, begin: int, middle: int, end: int) -> Split:
        gain = self._score(begin, middle) + self._score(middle, end) - self._score(begin, end)
        gain = max(gain, 0.0)
        if self.categorical:
            return Split(self.feature, gain, left_codes=tuple(range(begin, middle)))
        return Split(self.feature, gain, bin=middle - 1)

    def _score(self, begin: int, end: int) -> float:
        node = self._node(begin, end)
        return node.gradient**2 / (node.hessian + self.ridge)

    def _node(self, begin: int, end: int) -> NodeSums:
        gradient, hessian = self.sums[begin:end].sum(axis=0).tolist()
        return NodeSums(gradient, max(hessian, 1))

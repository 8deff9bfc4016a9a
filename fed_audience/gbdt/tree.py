"""A grown tree, in bin space: what the coordinator decides and every site repeats."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Split:
    """One decision. Rows whose code is in the left set go left.

    Numeric: codes ``<= bin`` go left, ``MISSING_CODE`` follows ``missing_left``.
    Categorical: codes in ``left_codes`` go left, everything else (``MISSING_CODE`` always) right.
    ``bin == size - 1`` of a numeric feature means 'anything present' against 'missing'.
    """

    feature: int
    gain: float
    bin: int = -1
    missing_left: bool = False
    left_codes: tuple[int, ...] = ()

    @property
    def categorical(self) -> bool:
        """Whether the left set is a set of categories."""
        return bool(self.left_codes)


@dataclass(frozen=True, slots=True)
class NodeSums:
    """Fixed-point sums of a node over all sites: gradient, hessian (integers, scale of the run)."""

    gradient: int
    hessian: int

    def __sub__(self, other: NodeSums) -> NodeSums:
        return NodeSums(self.gradient - other.gradient, self.hessian - other.hessian)


@dataclass(frozen=True, slots=True)
class Tree:
    """A binary tree in LightGBM's layout.

    ``splits[i]`` belongs to internal node ``i``; node 0 is the root. A child ``>= 0`` is an
    internal node, a child ``< 0`` is leaf ``-child - 1``. A tree of one leaf has no splits.
    ``leaf_values`` already hold the learning rate and no base score. ``internal_sums`` and
    ``leaf_sums`` stay with the coordinator and are exported only by policy.
    """

    splits: tuple[Split, ...]
    left: tuple[int, ...]
    right: tuple[int, ...]
    leaf_values: tuple[float, ...]
    internal_sums: tuple[NodeSums, ...]
    leaf_sums: tuple[NodeSums, ...]

    @property
    def leaves(self) -> int:
        """Number of leaves."""
        return len(self.leaf_values)

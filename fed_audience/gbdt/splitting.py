"""The best split of a node, from summed integer histograms.

All sums are integers below 2^53, so their conversion to float is exact; gains are computed in
units of the fixed-point scale, by + - * / in one fixed order. Equal gains are decided by the
lowest feature, then the lowest bin, then missing to the right. Gain, category order and limits
follow LightGBM (Ke et al. 2017; parameters ``cat_smooth``, ``cat_l2``, ``max_cat_threshold``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil
from typing import TYPE_CHECKING, Final, Self

import numpy as np
from numba import njit

from fed_audience.errors import FederationError
from fed_audience.gbdt.candidates import best_numeric, best_ordered, best_single
from fed_audience.gbdt.tree import NodeSums, Split

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fed_audience.gbdt.histogram import SlotLayout
    from fed_audience.gbdt.parameters import TrainingParameters

    Integers = NDArray[np.int64]

ONE_VS_REST_CATEGORIES: Final = 4
"""Up to so many categories each is tried alone (LightGBM's ``max_cat_to_onehot``)."""

MIN_DATA_PER_GROUP: Final = 100
"""Rows between two candidate borders of ordered categories (LightGBM's name and default)."""

_LEAST_GAIN: Final = 1e-9


@dataclass(frozen=True, slots=True)
class SplitRules:
    """The parameters of a search, in fixed-point units of one tree.

    A floor on rows is a floor on the hessian: rows of a node are estimated as its hessian times
    ``rows / root hessian``, because no count travels with a histogram.
    """

    scale: int
    min_hessian: int
    group_hessian: int
    smooth_hessian: int
    lambda_l2: float
    cat_l2: float
    cat_smooth: float
    min_gain: float

    @classmethod
    def of_tree(cls, parameters: TrainingParameters, scale: int, root: NodeSums, rows: int) -> Self:
        """Rules of a tree whose ``root`` sums ``rows`` rows (at least 1)."""

        def hessian_of(data: float) -> int:
            return ceil(Fraction(data) * root.hessian / max(rows, 1))

        return cls(
            scale=scale,
            min_hessian=max(
                1,
                ceil(Fraction(parameters.min_child_weight) * scale),
                hessian_of(parameters.min_data_in_leaf),
            ),
            group_hessian=hessian_of(MIN_DATA_PER_GROUP),
            smooth_hessian=hessian_of(parameters.cat_smooth),
            lambda_l2=parameters.lambda_l2,
            cat_l2=parameters.cat_l2,
            cat_smooth=parameters.cat_smooth,
            min_gain=parameters.min_gain_to_split,
        )

    def can_split(self, sums: NodeSums) -> bool:
        """Whether a node is heavy enough for two children."""
        return sums.hessian >= 2 * self.min_hessian

    def leaf_l2(self, split: Split, layout: SlotLayout) -> float:
        """L2 of the children of ``split``: ordered categories carry ``cat_l2`` as well."""
        ordered = split.categorical and layout.sizes[split.feature] > ONE_VS_REST_CATEGORIES
        return self.lambda_l2 + self.cat_l2 if ordered else self.lambda_l2


@njit(nogil=True, cache=True, error_model="numpy")
def _adds_up(sums: Integers, G: int, H: int) -> bool:
    """Whether the slots of a feature hold all rows of the node."""
    g = np.int64(0)
    h = np.int64(0)
    for b in range(sums.shape[0]):
        g += sums[b, 0]
        h += sums[b, 1]
    return g == G and h == H


@njit(nogil=True, cache=True, error_model="numpy")
def _find(
    histogram: Integers,
    total: tuple[int, int],
    offsets: Integers,
    sizes: Integers,
    categorical: NDArray[np.bool_],
    integers: tuple[int, int, int],
    reals: tuple[float, float, float, float, float],
    left: NDArray[np.uint8],
) -> tuple[float, int, int, bool]:
    """Find gain, feature, bin and side of missing; ``left`` receives a categorical left set.

    Feature -1: no split. Feature -2 - f: the slots of feature f do not add up to ``total``.
    """
    least, group_h, smooth_h = integers
    l2, cat_l2, smooth, scale, least_gain = reals
    left_g = np.empty(256, np.float64)
    left_h = np.empty(256, np.float64)
    gains = np.empty(256, np.float64)
    order = np.empty(256, np.int64)
    G = float(total[0])
    H = float(total[1])
    parent = G * G / (H + l2) if H + l2 > 0 else 0.0
    best = least_gain
    found = -1
    found_bin = -1
    found_missing_left = False
    for feature in range(sizes.size):
        size = sizes[feature]
        sums = histogram[offsets[feature] : offsets[feature + 1]]
        if not _adds_up(sums, total[0], total[1]):
            return 0.0, -2 - feature, -1, False
        if size == 0:
            continue
        if not categorical[feature]:
            gain, where, missing_left = best_numeric(
                sums, size, G, H, least, l2, left_g, left_h, gains
            )
            gain = (gain - parent) / scale
            if where >= 0 and gain > best:
                best = gain
                found = feature
                found_bin = where
                found_missing_left = missing_left
        elif size <= ONE_VS_REST_CATEGORIES:
            gain, where = best_single(sums, size, G, H, least, l2)
            gain = (gain - parent) / scale
            if where >= 0 and gain > best:
                best = gain
                found = feature
                left[:] = 0
                left[where] = 1
        else:
            gain, direction, taken, used = best_ordered(
                sums, size, G, H, least, l2 + cat_l2, smooth, smooth_h, group_h, order
            )
            gain = (gain - parent) / scale
            if taken > 0 and gain > best:
                best = gain
                found = feature
                left[:] = 0
                for i in range(taken):
                    left[order[i] if direction == 0 else order[used - 1 - i]] = 1
    return best, found, found_bin, found_missing_left


def find_split(
    histogram: NDArray[np.int64], total: NodeSums, layout: SlotLayout, rules: SplitRules
) -> Split | None:
    """Find the best split of a node, or None where none gains enough.

    ``histogram``: int64[slots, 2] summed over all sites; ``total``: the node's sums. A node
    without missing values sends later ones to its heavier child (left when equal). Raises
    FederationError when the slots of a feature do not add up to ``total``.
    """
    scale = float(rules.scale)
    left = np.zeros(256, dtype=np.uint8)
    gain, feature, bin_, missing_left = _find(
        histogram,
        (total.gradient, total.hessian),
        layout.offsets,
        layout.sizes,
        layout.categorical,
        (rules.min_hessian, rules.group_hessian, rules.smooth_hessian),
        (
            rules.lambda_l2 * scale,
            rules.cat_l2 * scale,
            rules.cat_smooth * scale,
            scale,
            max(rules.min_gain, _LEAST_GAIN),
        ),
        left,
    )
    if feature == -1:
        return None
    if feature < 0:
        raise FederationError(
            f"the summed histogram of feature {-2 - feature} contradicts the sums of its node",
            fix="find the site whose rows or bins changed during the run, then run again",
        )
    if layout.categorical[feature]:
        return Split(feature, gain, left_codes=tuple(np.flatnonzero(left).tolist()))
    split = Split(feature, gain, bin_, missing_left=missing_left)
    if histogram[int(layout.offsets[feature + 1]) - 1].any():
        return split
    heavier_left = 2 * left_sums(split, histogram, layout).hessian >= total.hessian
    return replace(split, missing_left=heavier_left)


def left_sums(split: Split, histogram: NDArray[np.int64], layout: SlotLayout) -> NodeSums:
    """Sum the rows that ``split`` sends left, from its node's histogram int64[slots, 2]."""
    first, stop = (int(layout.offsets[split.feature + k]) for k in (0, 1))
    sums = histogram[first:stop]
    if split.categorical:
        chosen = sums[list(split.left_codes)].sum(axis=0)
    else:
        chosen = sums[: split.bin + 1].sum(axis=0)
        if split.missing_left:
            chosen = chosen + sums[-1]
    return NodeSums(int(chosen[0]), int(chosen[1]))

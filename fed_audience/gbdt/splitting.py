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
from fed_audience.gbdt.tree import NodeSums, Split

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fed_audience.gbdt.histogram import SlotLayout
    from fed_audience.gbdt.parameters import TrainingParameters

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

ONE_VS_REST_CATEGORIES: Final = 4
"""Up to so many categories each is tried alone (LightGBM's ``max_cat_to_onehot``)."""

MAX_CATEGORIES_LEFT: Final = 32
"""Most categories on the left of one split (LightGBM's ``max_cat_threshold``)."""

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
def _scan(
    left_g: Floats,
    left_h: Floats,
    count: int,
    G: float,
    H: float,
    least: int,
    l2: float,
    gains: Floats,
) -> None:
    """Gains (before the parent's is taken off) of ``count`` borders; -1 where a side is light.

    gl^2 / (hl + l2) + gr^2 / (hr + l2), brought to one division.
    """
    for b in range(count):
        gl = left_g[b]
        hl = left_h[b]
        gr = G - gl
        hr = H - hl
        dl = hl + l2
        dr = hr + l2
        gain = (gl * gl * dr + gr * gr * dl) / (dl * dr)
        gains[b] = gain if min(hl, hr) >= least else -1.0


@njit(nogil=True, cache=True, error_model="numpy")
def _first_best(gains: Floats, count: int) -> tuple[float, int]:
    best = -1.0
    where = -1
    for b in range(count):
        if gains[b] > best:
            best = gains[b]
            where = b
    return best, where


@njit(nogil=True, cache=True, error_model="numpy")
def _best_numeric(  # noqa: PLR0913, PLR0917 - a kernel's arguments are its data
    sums: Integers,
    size: int,
    G: float,
    H: float,
    least: int,
    l2: float,
    left_g: Floats,
    left_h: Floats,
    gains: Floats,
) -> tuple[float, int, bool]:
    """Best border of one numeric feature: gain, bin, whether missing goes left."""
    g = np.int64(0)
    h = np.int64(0)
    for b in range(size):
        g += sums[b, 0]
        h += sums[b, 1]
        left_g[b] = g
        left_h[b] = h
    _scan(left_g, left_h, size, G, H, least, l2, gains)
    best, where = _first_best(gains, size)
    missing_g = sums[size, 0]
    missing_h = sums[size, 1]
    missing_left = False
    if missing_g != 0 or missing_h != 0:
        for b in range(size - 1):
            left_g[b] += missing_g
            left_h[b] += missing_h
        _scan(left_g, left_h, size - 1, G, H, least, l2, gains)
        other, there = _first_best(gains, size - 1)
        if other > best or (other == best and there < where):
            best, where, missing_left = other, there, True
    return best, where, missing_left


@njit(nogil=True, cache=True, error_model="numpy")
def _best_single(
    sums: Integers, size: int, G: float, H: float, least: int, l2: float
) -> tuple[float, int]:
    """Best category of a few, alone on the left: gain, code."""
    best = -1.0
    where = -1
    for b in range(size):
        gl = float(sums[b, 0])
        hl = float(sums[b, 1])
        gr = G - gl
        hr = H - hl
        if min(hl, hr) < least:
            continue
        dl = hl + l2
        dr = hr + l2
        gain = (gl * gl * dr + gr * gr * dl) / (dl * dr)
        if gain > best:
            best = gain
            where = b
    return best, where


@njit(nogil=True, cache=True, error_model="numpy")
def _best_ordered(  # noqa: PLR0913, PLR0917 - one pass over the order, from both ends
    sums: Integers,
    size: int,
    G: float,
    H: float,
    least: int,
    l2: float,
    smooth: float,
    smooth_h: int,
    group_h: int,
    order: Integers,
) -> tuple[float, int, int, int]:
    """Best prefix or suffix of the categories in order of g / (h + smooth).

    Categories with less hessian than ``smooth_h`` stay right. ``order`` receives the codes;
    returns gain, direction (0 from the front, 1 from the back), categories taken, of how many.
    """
    used = 0
    keys = np.empty(size, np.float64)
    codes = np.empty(size, np.int64)
    for b in range(size):
        if sums[b, 1] >= smooth_h and sums[b, 1] > 0:
            keys[used] = sums[b, 0] / (sums[b, 1] + smooth)
            codes[used] = b
            used += 1
    by_key = np.argsort(keys[:used], kind="mergesort")
    for i in range(used):
        order[i] = codes[by_key[i]]
    best = -1.0
    direction = 0
    taken = 0
    most = min(MAX_CATEGORIES_LEFT, (used + 1) // 2)
    for way in range(2):
        gl = 0.0
        hl = 0.0
        group = 0.0
        for i in range(most):
            code = order[i] if way == 0 else order[used - 1 - i]
            gl += sums[code, 0]
            hl += sums[code, 1]
            group += sums[code, 1]
            if hl < least:
                continue
            hr = H - hl
            if hr < least or hr < group_h:
                break
            if group < group_h:
                continue
            group = 0.0
            gr = G - gl
            dl = hl + l2
            dr = hr + l2
            gain = (gl * gl * dr + gr * gr * dl) / (dl * dr)
            if gain > best:
                best = gain
                direction = way
                taken = i + 1
    return best, direction, taken, used


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
            gain, where, missing_left = _best_numeric(
                sums, size, G, H, least, l2, left_g, left_h, gains
            )
            gain = (gain - parent) / scale
            if where >= 0 and gain > best:
                best = gain
                found = feature
                found_bin = where
                found_missing_left = missing_left
        elif size <= ONE_VS_REST_CATEGORIES:
            gain, where = _best_single(sums, size, G, H, least, l2)
            gain = (gain - parent) / scale
            if where >= 0 and gain > best:
                best = gain
                found = feature
                left[:] = 0
                left[where] = 1
        else:
            gain, direction, taken, used = _best_ordered(
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

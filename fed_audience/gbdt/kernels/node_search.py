"""The kernel that searches one node: all features, one pass over the histogram."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numba import njit

from fed_audience.gbdt.kernels.candidates import (
    Grouping,
    Terms,
    best_numeric,
    best_ordered,
    best_single,
    gain_of,
    running_sums,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]
    Codes = NDArray[np.uint8]

NO_SPLIT: Final = -1
"""Stands for the feature of a node that nothing can split."""

CONTRADICTION: Final = -2
"""Minus a feature: its slots do not add up to the node."""


@njit(nogil=True, cache=True)
def _all_sums(sums: Integers, sibling: Integers) -> tuple[int, int]:
    """Take a ``sibling`` that is not empty off ``sums``; return what they add up to."""
    g, h = 0, 0
    for b in range(sums.shape[0]):
        if sibling.shape[0] > 0:
            sums[b, 0] -= sibling[b, 0]
            sums[b, 1] -= sibling[b, 1]
        g += sums[b, 0]
        h += sums[b, 1]
    return g, h


@njit(nogil=True, cache=True, error_model="numpy")
def _best_categories(  # noqa: PLR0913, PLR0917 - kernels take arguments by position
    sums: Integers,
    size: int,
    one_hot: int,
    G: float,
    H: float,
    terms: Terms,
    cat_l2: float,
    grouping: Grouping,
    order: Integers,
) -> tuple[float, int]:
    """Best left set of one categorical feature: gain, and its size in ``order``."""
    if size <= one_hot:
        return best_single(sums, size, G, H, terms, order)
    shaped, least, l1, l2, low, high, _ = terms
    many = Terms(shaped, least, l1, l2 + cat_l2, low, high, 0.0)
    return best_ordered(sums, size, G, H, many, grouping, order)


@njit(nogil=True, cache=True)
def _left_of_border(
    sums: Integers,
    bin_: int,
    missing_left: bool,  # noqa: FBT001 - kernels take arguments by position
    total_h: int,
) -> tuple[bool, int, int]:
    """Side of missing, gradient and hessian left of a border.

    Where nothing is missing, what will be goes to the heavier side, left when equal.
    """
    g, h = 0, 0
    for b in range(bin_ + 1):
        g += sums[b, 0]
        h += sums[b, 1]
    missing = sums[sums.shape[0] - 1]
    if missing[0] == 0 and missing[1] == 0:
        return bool(2 * h >= total_h), g, h
    if missing_left:
        g += missing[0]
        h += missing[1]
    return missing_left, g, h


@njit(nogil=True, cache=True)
def _left_of_categories(sums: Integers, codes: Integers, left: Codes) -> tuple[int, int]:
    """Gradient and hessian of ``codes``, which are marked in ``left``."""
    g, h = 0, 0
    for code in codes:
        left[code] = 1
        g += sums[code, 0]
        h += sums[code, 1]
    return g, h


@njit(nogil=True, cache=True, error_model="numpy")
def search(  # noqa: PLR0913, PLR0915, PLR0917 - a kernel: arguments by position, all inline
    histogram: Integers,
    sibling: Integers,
    offsets: Integers,
    features: Integers,
    integers: Integers,
    reals: Floats,
    total_g: int,
    total_h: int,
    low: float,
    high: float,
    left: Codes,
) -> tuple[float, int, int, bool, int, int]:
    """Find gain, feature, bin, side of missing, gradient and hessian on the left.

    ``features``: int64[F, 4], bins, whether categorical, whether drawn, monotone direction;
    ``integers`` and ``reals`` as ``SplitRules`` packs them. ``left``, uint8[256] of zeros, receives
    1 for each category on the left. The feature may be NO_SPLIT, or CONTRADICTION minus a feature.
    A ``sibling`` that is not empty is first taken off, in place, feature by feature while in cache.
    """
    least = float(integers[0])
    shaped = integers[5] != 0
    grouping = Grouping(reals[3], integers[2], integers[1], integers[3])
    one_hot = integers[4]
    l1, l2, cat_l2 = reals[0], reals[1], reals[2]
    gain_unit = reals[4]
    best = reals[5]
    free = Terms(shaped, least, l1, l2, low, high, 0.0)
    scratch = np.empty((3, 256), np.float64)
    order = np.empty(256, np.int64)
    best_order = np.empty(256, np.int64)
    G = float(total_g)
    H = float(total_h)
    parent = gain_of(G, H + l2, free) if H + l2 > 0 else 0.0
    highest = -np.inf
    found = NO_SPLIT
    found_bin = -1
    found_taken = 0
    found_missing_left = False
    derived = sibling.shape[0] > 0
    for feature in range(features.shape[0]):
        size, categorical, drawn, sign = features[feature]
        if drawn == 0:
            continue
        sums = histogram[offsets[feature] : offsets[feature + 1]]
        rest = sibling[offsets[feature] : offsets[feature + 1]] if derived else sibling
        taken = 0
        missing_left = False
        if categorical:
            g, h = _all_sums(sums, rest)
            raw, taken = _best_categories(sums, size, one_hot, G, H, free, cat_l2, grouping, order)
            where = taken - 1
        else:
            g, h = running_sums(sums, size, rest, scratch)
            terms = Terms(shaped, least, l1, l2, low, high, float(sign))
            raw, where, missing_left = best_numeric(sums[size], size, G, H, terms, highest, scratch)
        if g != total_g or h != total_h:
            return 0.0, CONTRADICTION - feature, -1, False, 0, 0
        gain = (raw - parent) * gain_unit
        if where >= 0 and gain > best:
            best = gain
            highest = raw
            found = feature
            found_bin = where
            found_taken = taken
            found_missing_left = missing_left
            order, best_order = best_order, order
    if found == NO_SPLIT:
        return 0.0, found, -1, False, 0, 0
    sums = histogram[offsets[found] : offsets[found + 1]]
    if features[found, 1]:
        g, h = _left_of_categories(sums, best_order[:found_taken], left)
        return best, found, -1, False, g, h
    missing_left, g, h = _left_of_border(sums, found_bin, found_missing_left, total_h)
    return best, found, found_bin, missing_left, g, h


@njit(nogil=True, cache=True)
def search_families(  # noqa: PLR0913, PLR0917 - as above
    pool: Integers,
    built: Integers,
    places: Integers,
    children: Integers,
    ranges: Floats,
    offsets: Integers,
    features: Integers,
    integers: Integers,
    reals: Floats,
    first: int,
    last: int,
    gains: Floats,
    found: Integers,
    left: Codes,
) -> None:
    """Search both children of families ``first`` to ``last``: what is derived, then what was built.

    ``pool``: int64[P, slots, 2]; ``built``: int64[K, slots, 2]. ``places``: int64[K, 2], where in
    the pool the parent's histogram becomes the derived child's, and where the built one is kept
    (-1: nowhere). ``children``: int64[K, 2, 3], whether it may be split, gradient, hessian;
    ``ranges``: float64[K, 2, 2]. Writes ``gains``, float64[K, 2], ``found``, int64[K, 2, 5] and
    ``left``, uint8[K, 2, 256] of zeros: what ``search`` returns.
    """
    nothing = np.empty((0, 2), np.int64)
    for family in range(first, last):
        for child in range(2):
            found[family, child, 0] = NO_SPLIT
            if children[family, child, 0] == 0:
                continue
            derived = child == 0
            gain, feature, bin_, missing_left, g, h = search(
                pool[places[family, 0]] if derived else built[family],
                built[family] if derived else nothing,
                offsets,
                features,
                integers,
                reals,
                children[family, child, 1],
                children[family, child, 2],
                ranges[family, child, 0],
                ranges[family, child, 1],
                left[family, child],
            )
            gains[family, child] = gain
            found[family, child, 0] = feature
            found[family, child, 1] = bin_
            found[family, child, 2] = np.int64(missing_left)
            found[family, child, 3] = g
            found[family, child, 4] = h
        if places[family, 1] >= 0:
            pool[places[family, 1]] = built[family]

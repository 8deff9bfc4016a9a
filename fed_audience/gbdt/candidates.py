"""The best way to split a node by one feature: a border, a category, a set of categories.

Sums arrive as integers below 2^53, so that their conversion to float is exact; ``G`` and ``H`` are
the node's sums and ``l2`` is scaled like them. Of equal gains the first wins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

MAX_CATEGORIES_LEFT: Final = 32
"""Most categories on the left of one split (LightGBM's ``max_cat_threshold``)."""


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
def best_numeric(  # noqa: PLR0913, PLR0917 - a kernel's arguments are its data
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
def best_single(
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
def best_ordered(  # noqa: PLR0913, PLR0917 - one pass over the order, from both ends
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

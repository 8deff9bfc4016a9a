"""The best way to split a node by one feature: a border, a category, a set of categories.

Sums arrive as integers below 2^53, so that their conversion to float is exact; ``G`` and ``H`` are
the node's sums, everything else is in the same units. Of equal gains the first wins. A gain is
that of both children, before the parent's is taken off.

Two forms of the gain exist. The plain one is g^2 / (h + l2) of each side, brought to one division.
The shaped one is that of an output which L1 has shrunk and bounds have clipped, and refuses
children in the wrong order (LightGBM's ``GetSplitGains``); a tree uses one form throughout.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]


class Terms(NamedTuple):
    """What a candidate must satisfy and how its gain is computed, all in fixed-point units.

    ``least``: hessian of a child; ``low`` and ``high`` bound the children's outputs; ``sign`` is
    the order of the outputs that a monotone feature demands (right minus left), 0 for none.
    """

    shaped: bool
    least: float
    l1: float
    l2: float
    low: float
    high: float
    sign: float


class Grouping(NamedTuple):
    """How categories are ordered and grouped, hessians in units; at most ``most`` go left."""

    smooth: float
    smooth_h: int
    group_h: int
    most: int


@njit(nogil=True, cache=True, error_model="numpy")
def output_of(g: float, d: float, terms: Terms) -> float:
    """Output of a leaf of gradient ``g`` and hessian plus L2 ``d``, within the bounds."""
    return min(max(-_shrunk(g, terms.l1) / d, terms.low), terms.high)


@njit(nogil=True, cache=True, error_model="numpy")
def gain_of(g: float, d: float, terms: Terms) -> float:
    """Gain of one node, in the form of its tree."""
    if not terms.shaped:
        return g * g / d
    t = _shrunk(g, terms.l1)
    v = output_of(g, d, terms)
    return -(2.0 * t * v + d * v * v)


@njit(nogil=True, cache=True, error_model="numpy")
def _shrunk(g: float, l1: float) -> float:
    """Soft threshold: ``g`` drawn towards zero by ``l1``."""
    return max(g - l1, 0.0) + min(g + l1, 0.0)


@njit(nogil=True, cache=True, error_model="numpy")
def _pair_gain(gl: float, hl: float, gr: float, hr: float, terms: Terms) -> float:
    """Gain of two children, -inf where they are too light or in the wrong order."""
    if not min(hl, hr) >= terms.least:
        return -np.inf
    dl = hl + terms.l2
    dr = hr + terms.l2
    if not terms.shaped:
        return (gl * gl * dr + gr * gr * dl) / (dl * dr)
    if (output_of(gr, dr, terms) - output_of(gl, dl, terms)) * terms.sign < 0.0:
        return -np.inf
    return gain_of(gl, dl, terms) + gain_of(gr, dr, terms)


@njit(nogil=True, cache=True, error_model="numpy")
def _scan_plain(
    left_g: Floats, left_h: Floats, count: int, G: float, H: float, terms: Terms, gains: Floats
) -> None:
    """``_pair_gain`` of ``count`` borders without a branch, so that it becomes vector code."""
    least = terms.least
    l2 = terms.l2
    for b in range(count):
        gl = left_g[b]
        hl = left_h[b]
        gr = G - gl
        hr = H - hl
        dl = hl + l2
        dr = hr + l2
        gain = (gl * gl * dr + gr * gr * dl) / (dl * dr)
        gains[b] = gain if min(hl, hr) >= least else -np.inf


@njit(nogil=True, cache=True, error_model="numpy")
def _scan_shaped(
    left_g: Floats, left_h: Floats, count: int, G: float, H: float, terms: Terms, gains: Floats
) -> None:
    """Do the same in the shaped form."""
    _, least, l1, l2, low, high, sign = terms
    for b in range(count):
        gl = left_g[b]
        hl = left_h[b]
        gr = G - gl
        hr = H - hl
        dl = hl + l2
        dr = hr + l2
        tl = max(gl - l1, 0.0) + min(gl + l1, 0.0)
        tr = max(gr - l1, 0.0) + min(gr + l1, 0.0)
        vl = min(max(-tl / dl, low), high)
        vr = min(max(-tr / dr, low), high)
        gain = -(2.0 * tl * vl + dl * vl * vl) + -(2.0 * tr * vr + dr * vr * vr)
        allowed = (min(hl, hr) >= least) & ((vr - vl) * sign >= 0.0)
        gains[b] = gain if allowed else -np.inf


@njit(nogil=True, cache=True, error_model="numpy")
def _highest(gains: Floats, count: int) -> float:
    """Largest of ``count`` gains; four running maxima, as one would wait for itself."""
    a = b = c = d = -np.inf
    fours = np.uint64(count // 4 * 4)
    for i in range(np.uint64(0), fours, np.uint64(4)):
        a = max(a, gains[i])
        b = max(b, gains[i + np.uint64(1)])
        c = max(c, gains[i + np.uint64(2)])
        d = max(d, gains[i + np.uint64(3)])
    for i in range(fours, np.uint64(count)):
        a = max(a, gains[i])
    return max(a, b, c, d)


@njit(nogil=True, cache=True, error_model="numpy")
def _first(gains: Floats, gain: float) -> int:
    b = 0
    while gains[b] != gain:
        b += 1
    return b


@njit(nogil=True, cache=True)
def running_sums(sums: Integers, size: int, sibling: Integers, scratch: Floats) -> tuple[int, int]:
    """Sum the bins of a numeric feature from the left into ``scratch[0]`` and ``scratch[1]``.

    A ``sibling`` that is not empty is taken off ``sums`` on the way. Returns the sums of all slots.
    """
    left_g, left_h = scratch[0], scratch[1]
    g = np.int64(0)
    h = np.int64(0)
    if sibling.shape[0] == 0:
        for b in range(size):
            g += sums[b, 0]
            h += sums[b, 1]
            left_g[b] = g
            left_h[b] = h
    else:
        for b in range(size):
            own_g = sums[b, 0] - sibling[b, 0]
            own_h = sums[b, 1] - sibling[b, 1]
            sums[b, 0] = own_g
            sums[b, 1] = own_h
            g += own_g
            h += own_h
            left_g[b] = g
            left_h[b] = h
        sums[size, 0] -= sibling[size, 0]
        sums[size, 1] -= sibling[size, 1]
    return g + sums[size, 0], h + sums[size, 1]


@njit(nogil=True, cache=True, error_model="numpy")
def best_numeric(
    missing: Integers,
    size: int,
    G: float,
    H: float,
    terms: Terms,
    enough: float,
    scratch: Floats,
) -> tuple[float, int, bool]:
    """Best border of one numeric feature: gain, bin (-1: none as good as ``enough``), missing left.

    ``missing``: its gradient and hessian; ``scratch``: float64[3, 256] as ``running_sums`` left it.
    Of equal gains the lowest bin wins, then missing to the right.
    """
    left_g, left_h, gains = scratch[0], scratch[1], scratch[2]
    best = enough
    where = -1
    missing_left = False
    for way in range(2):
        count = size - way
        if way == 1:
            if missing[0] == 0 and missing[1] == 0:
                break
            for b in range(count):
                left_g[b] += missing[0]
                left_h[b] += missing[1]
        if terms.shaped:
            _scan_shaped(left_g, left_h, count, G, H, terms, gains)
        else:
            _scan_plain(left_g, left_h, count, G, H, terms, gains)
        highest = _highest(gains, count)
        if highest >= best and highest > -np.inf:
            first = _first(gains, highest)
            if highest > best or where < 0 or first < where:
                best = highest
                where = first
                missing_left = way == 1
    return best, where, missing_left


@njit(nogil=True, cache=True, error_model="numpy")
def best_single(
    sums: Integers, size: int, G: float, H: float, terms: Terms, order: Integers
) -> tuple[float, int]:
    """Best category of a few, alone on the left: gain, categories on the left (``order[:1]``)."""
    best = -np.inf
    taken = 0
    for b in range(size):
        gl = float(sums[b, 0])
        hl = float(sums[b, 1])
        gain = _pair_gain(gl, hl, G - gl, H - hl, terms)
        if gain > best:
            best = gain
            taken = 1
            order[0] = b
    return best, taken


@njit(nogil=True, cache=True, error_model="numpy")
def best_ordered(
    sums: Integers,
    size: int,
    G: float,
    H: float,
    terms: Terms,
    grouping: Grouping,
    order: Integers,
) -> tuple[float, int]:
    """Best prefix or suffix of the categories in order of g / (h + smooth).

    Categories with less hessian than ``smooth_h`` stay right. Returns the gain and the number of
    categories on the left, which are ``order[:taken]``.
    """
    smooth, smooth_h, group_h, most = grouping
    used = 0
    keys = np.empty(size, np.float64)
    codes = np.empty(size, np.int64)
    for b in range(size):
        if sums[b, 1] >= smooth_h and sums[b, 1] > 0:
            keys[used] = sums[b, 0] / (sums[b, 1] + smooth)
            codes[used] = b
            used += 1
    by_key = np.argsort(keys[:used], kind="mergesort")
    best = -np.inf
    from_back = False
    taken = 0
    for back in (False, True):
        gl = 0.0
        hl = 0.0
        group = 0.0
        for i in range(min(most, (used + 1) // 2)):
            code = codes[by_key[used - 1 - i if back else i]]
            gl += sums[code, 0]
            hl += sums[code, 1]
            group += sums[code, 1]
            if hl < terms.least:
                continue
            hr = H - hl
            if hr < terms.least or hr < group_h:
                break
            if group < group_h:
                continue
            group = 0.0
            gain = _pair_gain(gl, hl, G - gl, hr, terms)
            if gain > best:
                best = gain
                from_back = back
                taken = i + 1
    for i in range(taken):
        order[i] = codes[by_key[used - 1 - i if from_back else i]]
    return best, taken

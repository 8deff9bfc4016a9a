"""Numbers as the learner sees them, and their order-preserving integer keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]
    Keys = NDArray[np.uint64]

LARGEST: Final = float(np.nextafter(2.0**64, 0.0))
"""Largest number told apart; what lies beyond it, infinity included, is clipped to it."""

SMALLEST: Final = 2.0**-64
"""Smallest magnitude that is not zero."""

MISSING_KEY: Final = 2**64 - 1
"""Key of NaN; above the key of every number."""

ZERO_KEY: Final = 1 << 63


class Canonical(NamedTuple):
    """Values as the learner sees them, and how many had to be clipped."""

    values: Floats
    clipped: int


@njit(cache=True, nogil=True)
def canonical_value(x: float) -> float:
    """Return the number that x counts as: clipped to +-LARGEST, 0 below SMALLEST; NaN stays."""
    magnitude = abs(x)
    if magnitude < SMALLEST:
        return 0.0
    if magnitude > LARGEST:
        return LARGEST if x > 0.0 else -LARGEST
    return x


@njit(cache=True, nogil=True)
def _canonical(x: Floats, out: Floats) -> int:
    clipped = 0
    for i in range(x.size):
        out[i] = canonical_value(x[i])
        clipped += abs(x[i]) > LARGEST
    return clipped


@njit(cache=True, nogil=True)
def marked_beyond(x: Floats, marked: NDArray[np.bool_]) -> int:
    """How many of the marked numbers are clipped."""
    clipped = 0
    for i in range(x.size):
        clipped += marked[i] & (abs(x[i]) > LARGEST)
    return clipped


@njit(cache=True, nogil=True)
def key_of(x: float) -> np.uint64:
    """Key of a canonical number: its bits, so turned that they ascend; MISSING_KEY for NaN."""
    bits = np.float64(x).view(np.uint64)
    sign = np.uint64(ZERO_KEY)
    key = ~bits if bits & sign else bits | sign
    return key if x == x else np.uint64(MISSING_KEY)  # noqa: PLR0124 - NaN differs from itself


def read_only(x: ArrayLike) -> Floats:
    """View x as contiguous float64 that cannot be written, as Arrow's buffers are.

    So each kernel is compiled for one kind of input only.
    """
    values = np.ascontiguousarray(x, dtype=np.float64).view()
    values.flags.writeable = False
    return values


def canonical(x: ArrayLike) -> Canonical:
    """Values as every later step sees them: -0 and |x| < 2^-64 become 0, NaN stays.

    Magnitudes of 2^64 and more, infinity included, become the largest double below 2^64; the
    second field counts them. ``x``: float64[n].
    """
    values = read_only(x)
    out = np.empty(values.shape)
    clipped = _canonical(values, out)
    return Canonical(out, int(clipped))


def keys(x: ArrayLike) -> Keys:
    """Order-preserving keys: uint64[n] with x < y exactly where key(x) < key(y).

    Numbers are made canonical first; NaN gets MISSING_KEY.
    """
    return keys_of_canonical(canonical(x).values)


def keys_of_canonical(values: Floats) -> Keys:
    """``key_of`` each of float64[n]."""
    bits = values.view(np.uint64)
    ascending = np.where(bits & np.uint64(ZERO_KEY), ~bits, bits | np.uint64(ZERO_KEY))
    ascending[np.isnan(values)] = MISSING_KEY
    return ascending


def value_of(key: int) -> float:
    """Return the number whose key this is."""
    bits = key ^ ZERO_KEY if key & ZERO_KEY else key ^ MISSING_KEY
    return float(np.uint64(bits).view(np.float64))

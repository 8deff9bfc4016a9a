"""What the integers of a run are worth: units and bounds of gradients and hessians."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

LEAST_SCALE_BITS: Final = 12
MOST_SCALE_BITS: Final = 16
_PACKED_BITS: Final = 62
_EXACT_BITS: Final = 53
_PAIR_BITS: Final = 30


@dataclass(frozen=True, slots=True)
class FixedPoint:
    """Real values of one unit of gradient and of hessian, and the largest of one row in units.

    The units are powers of two, so a sum of units is exact as a real number. A gradient lies
    within +-``gradient_bound`` units, a hessian between 1 and ``hessian_bound``. With G and H
    summed units, a leaf's value is ``-learning_rate * (G * gradient_unit) / (H * hessian_unit +
    l2)``, and a gain in units is worth ``gradient_unit ** 2 / hessian_unit`` times as much.
    """

    gradient_unit: float
    hessian_unit: float
    gradient_bound: int
    hessian_bound: int


def gradient_scale(row_cap: int) -> int:
    """Fixed-point units of a gradient of 1: a power of two from 2^12 to 2^16.

    With ``row_cap`` rows a gradient sum needs ``bits(cap) + s + 1`` bits and a hessian sum
    ``bits(cap) + s - 1``. Up to 2^19 rows the scale is the finest at which both fit one 64-bit
    ring element; beyond, where no scale of at least 2^12 would fit, it is 2^16 in two elements,
    and 2^34 rows still sum below 2^51: exact as an int64 and as a float.
    """
    cap_bits = row_bits(row_cap)
    packed = (_PACKED_BITS - 2 * cap_bits) // 2
    if packed < LEAST_SCALE_BITS:
        return 2**MOST_SCALE_BITS
    return int(2 ** min(packed, MOST_SCALE_BITS))


def widest_scale(row_cap: int) -> int:
    """Most units that one row may have: a power of two up to 2^30.

    ``row_cap`` such rows sum to at most 2^53, exact as a float: 2^26 units for the default cap of
    2^27 rows. 2^30 is what fits the halves of a packed pair.
    """
    return int(2 ** min(_EXACT_BITS - row_bits(row_cap), _PAIR_BITS))


def row_bits(row_cap: int) -> int:
    """Bits by which a sum over ``row_cap`` rows outgrows one row, at least 1."""
    return max(row_cap - 1, 1).bit_length()

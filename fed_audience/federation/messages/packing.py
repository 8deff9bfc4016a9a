"""How a reply's integers become ring elements, as few and as short as the sums allow."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fed_audience.config import StrictModel
from fed_audience.privacy.masks import RING_32, RING_64, Ring

_LIMB_BITS: Final = 16
_MOST_SITES: Final = 2**15
"""Limbs of so many sites sum below 2^31."""

Integers = NDArray[np.int64]


class Packing(StrictModel):
    """Ring of a histogram's elements, and whether gradient and hessian share one.

    With ``hessian_bits`` k > 0 a slot is one element, G * 2^k + H: one addition sums both, and
    both are read from the sum as long as 0 <= H < 2^k and -2^(bits-1-k) <= G < 2^(bits-1-k).
    With 0 it is two elements, G and H.
    """

    bits: Literal[32, 64] = 64
    hessian_bits: Annotated[int, Field(ge=0, le=62)] = 0

    @classmethod
    def of_bounds(cls, gradient: int, hessian: int) -> Self:
        """Choose the shortest packing for sums within +-``gradient`` and 0 .. ``hessian``."""
        hessian_bits = max(hessian.bit_length(), 1)
        needed = hessian_bits + gradient.bit_length() + 1
        if needed <= RING_32.bits:
            return cls(bits=32, hessian_bits=hessian_bits)
        if needed <= RING_64.bits:
            return cls(bits=64, hessian_bits=hessian_bits)
        return cls()

    @property
    def ring(self) -> Ring:
        """The ring of the elements."""
        return Ring(self.bits)

    def size(self, slots: int, rides: int = 0) -> int:
        """Elements of a vector of ``slots`` pairs and ``rides`` integers of 64 bits."""
        limbs = RING_64.bits // _LIMB_BITS if self.bits == RING_32.bits else 1
        return slots * (1 if self.hessian_bits else 2) + rides * limbs

    def pack(self, pairs: Integers, rides: Integers | None = None) -> Integers:
        """Return the elements of pairs int64[..., 2] and of integers int64[r] behind them."""
        flat = pairs.reshape(-1, 2)
        if self.hessian_bits:
            elements = (flat[:, 0] << self.hessian_bits) + flat[:, 1]
        else:
            elements = flat.ravel()
        if rides is None:
            return elements
        return np.append(elements, self._limbs(rides))

    def unpack(self, sums: Integers, rides: int = 0) -> tuple[Integers, Integers]:
        """Read summed elements: pairs int64[slots, 2] and the ``rides`` integers behind them."""
        behind = self.size(0, rides)
        elements = sums[: len(sums) - behind]
        if not self.hessian_bits:
            return elements.reshape(-1, 2), self._joined(sums[len(sums) - behind :], rides)
        pairs = np.empty((len(elements), 2), dtype=np.int64)
        np.bitwise_and(elements, (1 << self.hessian_bits) - 1, out=pairs[:, 1])
        np.right_shift(elements, self.hessian_bits, out=pairs[:, 0])
        return pairs, self._joined(sums[len(sums) - behind :], rides)

    def _limbs(self, rides: Integers) -> Integers:
        """In a ring of 32 bits an integer travels as four limbs of 16, which never carry over."""
        if self.bits == RING_64.bits:
            return rides
        shifts = np.arange(0, RING_64.bits, _LIMB_BITS)
        return ((rides[:, None] >> shifts) & (2**_LIMB_BITS - 1)).ravel()

    def _joined(self, limbs: Integers, rides: int) -> Integers:
        if self.bits == RING_64.bits:
            return limbs
        shifts = np.arange(0, RING_64.bits, _LIMB_BITS)
        joined: Integers = (limbs.reshape(rides, RING_64.bits // _LIMB_BITS) << shifts).sum(axis=1)
        return joined


WIDE: Final = Packing()


def counts_ring(row_cap: int) -> Ring:
    """Ring for counts of rows, of which all sites together have at most ``row_cap``."""
    return RING_32 if row_cap <= RING_32.largest else RING_64

"""How a histogram's sums become ring elements, as few and as short as their bounds allow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fed_audience.config import StrictModel
from fed_audience.errors import FederationError
from fed_audience.gbdt.kernels.packed_sums import NO_SLOTS, PackedSlots, pack_pairs, unpack_pairs
from fed_audience.privacy.masks import RING_32, RING_64, Ring

_LIMB_BITS: Final = 16
"""Limbs of up to 2^15 sites sum below 2^31."""

Integers = NDArray[np.int64]
Slots = NDArray[np.int32]
Bits = NDArray[np.int16]


class Packing(StrictModel):
    """Ring of a histogram's elements, and whether gradient and hessian share one.

    With ``hessian_bits`` k > 0 a slot is one element, G * 2^k + H: one addition sums both, and
    both are read from the sum as long as 0 <= H < 2^k and -2^(bits-1-k) <= G < 2^(bits-1-k).
    With 0 it is two elements, G and H.
    """

    bits: Literal[32, 64] = 64
    hessian_bits: Annotated[int, Field(ge=0, le=62)] = 0

    @property
    def ring(self) -> Ring:
        """The ring of the elements."""
        return Ring(self.bits)


WIDE: Final = Packing()


@dataclass(frozen=True, slots=True)
class SlotPacking:
    """The packing of histograms of ``slots`` slots, some of which outgrow an element.

    ``wide``: int32, ascending, the slots that take two elements all the same: a few that hold very
    many rows, such as missing values and heavy categories. Empty in a ring of 32 bits.
    """

    packing: Packing
    slots: int
    wide: Slots

    @classmethod
    def read(cls, packing: Packing, wide: Slots, slots: int) -> Self:
        """Take what a request for histograms of ``slots`` slots says.

        Raises FederationError when ``wide`` are not ascending slots, or the packing has none.
        """
        fits = packing.bits == RING_64.bits and packing.hessian_bits > 0
        if len(wide) and not (
            fits and wide[0] >= 0 and wide[-1] < slots and (wide[1:] > wide[:-1]).all()
        ):
            raise FederationError("slots of two elements are not ascending slots of the histogram")
        return cls(packing, slots, wide)

    @classmethod
    def of_bits(cls, gradient: Bits, hessian: Bits, most: int = RING_64.bits) -> Self:
        """Choose the shortest for sums of so many bits, a sign not counted; int16[slots] both.

        ``most``: bits of the largest hessian, where that is less than a slot's bound says.
        """
        slots = len(gradient)
        hessian_bits = np.clip(hessian, 1, max(most, 1))
        needed = hessian_bits + gradient + 1
        if needed.max(initial=0) <= RING_32.bits:
            return cls(Packing(bits=32, hessian_bits=_most(hessian_bits)), slots, NO_SLOTS)
        fits = needed <= RING_64.bits
        shared = _most(hessian_bits[fits])
        fits &= gradient < RING_64.bits - shared
        wide = np.flatnonzero(~fits).astype(np.int32)
        if 2 * len(wide) > slots:
            return cls(WIDE, slots, NO_SLOTS)
        return cls(Packing(hessian_bits=shared), slots, wide)

    @property
    def ring(self) -> Ring:
        """The ring of the elements."""
        return self.packing.ring

    @property
    def form(self) -> PackedSlots:
        """How the elements of a node are written."""
        return PackedSlots(self.packing.hessian_bits, self.wide)

    def size(self, nodes: int, rides: int = 0) -> int:
        """Elements of the histograms of ``nodes`` nodes and ``rides`` integers of 64 bits."""
        limbs = RING_64.bits // _LIMB_BITS if self.packing.bits == RING_32.bits else 1
        return nodes * self.form.width(self.slots) + rides * limbs

    def pack(self, pairs: Integers, rides: Integers | None = None) -> Integers:
        """Return the elements of pairs int64[nodes, slots, 2] and of integers int64[r] behind."""
        if not self.packing.hessian_bits:
            return self.joined(pairs.reshape(-1), rides)
        elements = np.empty(self.size(len(pairs)), dtype=np.int64)
        pack_pairs(pairs, self.wide, self.packing.hessian_bits, elements)
        return self.joined(elements, rides)

    def joined(self, elements: Integers, rides: Integers | None = None) -> Integers:
        """Return ``elements``, of this form, and those of integers int64[r] behind."""
        return elements if rides is None else np.append(elements, self._limbs(rides))

    def unpack(self, sums: Integers, nodes: int, rides: int = 0) -> tuple[Integers, Integers]:
        """Read summed elements: pairs int64[nodes, slots, 2] and the ``rides`` integers behind."""
        elements, limbs = sums[: self.size(nodes)], sums[self.size(nodes) :]
        joined = self._of_limbs(limbs, rides)
        if not self.packing.hessian_bits:
            return elements.reshape(nodes, -1, 2), joined
        pairs = np.empty((nodes, self.slots, 2), dtype=np.int64)
        unpack_pairs(elements, self.wide, self.packing.hessian_bits, pairs)
        return pairs, joined

    def _limbs(self, rides: Integers) -> Integers:
        """In a ring of 32 bits an integer travels as four limbs of 16, which never carry over."""
        if self.packing.bits == RING_64.bits:
            return rides
        shifts = np.arange(0, RING_64.bits, _LIMB_BITS)
        return ((rides[:, None] >> shifts) & (2**_LIMB_BITS - 1)).ravel()

    def _of_limbs(self, limbs: Integers, rides: int) -> Integers:
        if self.packing.bits == RING_64.bits:
            return limbs
        shifts = np.arange(0, RING_64.bits, _LIMB_BITS)
        joined: Integers = (limbs.reshape(rides, RING_64.bits // _LIMB_BITS) << shifts).sum(axis=1)
        return joined


def counts_ring(row_cap: int) -> Ring:
    """Ring for counts of rows, of which all sites together have at most ``row_cap``."""
    return RING_32 if row_cap <= RING_32.largest else RING_64


def bit_length(values: Integers) -> Bits:
    """Bits of each value, at least 0; one too many where a float rounds up to a power of two."""
    return np.frexp(values.astype(np.float64))[1].astype(np.int16)


def _most(bits: Bits) -> int:
    return int(bits.max(initial=1))

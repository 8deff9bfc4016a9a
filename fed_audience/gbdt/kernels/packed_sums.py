"""Gradient and hessian sums of a slot in one integer, where their bounds leave room for both.

A slot with k hessian bits is ``G << k | H``; what does not fit is two integers, G in its place and
H behind all slots of its node. Adding such vectors adds the sums in them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Integers = NDArray[np.int64]
    Slots = NDArray[np.int32]

NO_SLOTS: Final[Slots] = np.empty(0, dtype=np.int32)


@dataclass(frozen=True, slots=True)
class PackedSlots:
    """How a node's sums are written: ``hessian_bits`` 0 stands for two integers a slot, G and H.

    ``wide``: int32, ascending, the slots that take two integers all the same.
    """

    hessian_bits: int
    wide: Slots

    def width(self, slots: int) -> int:
        """Integers of one node's histogram."""
        return slots + len(self.wide) if self.hessian_bits else 2 * slots


PAIRS: Final = PackedSlots(0, NO_SLOTS)


@njit(nogil=True, cache=True)
def pack_pairs(pairs: Integers, wide: Slots, hessian_bits: int, packed: Integers) -> None:
    """Write ``pairs`` int64[nodes, slots, 2] to ``packed`` int64[nodes * (slots + wide)]."""
    nodes, slots = np.uint64(pairs.shape[0]), np.uint64(pairs.shape[1])
    shift, wides = np.uint64(hessian_bits), np.uint64(wide.size)
    for node in range(nodes):
        start = node * (slots + wides)
        for slot in range(slots):
            packed[start + slot] = (pairs[node, slot, 0] << shift) + pairs[node, slot, 1]
        for index in range(wides):
            outgrown = np.uint64(wide[index])
            packed[start + outgrown] = pairs[node, outgrown, 0]
            packed[start + slots + index] = pairs[node, outgrown, 1]


@njit(nogil=True, cache=True)
def unpack_pairs(packed: Integers, wide: Slots, hessian_bits: int, pairs: Integers) -> None:
    """Read ``pairs`` int64[nodes, slots, 2] from what ``pack_pairs`` wrote, or from sums of it.

    With 0 <= H < 2^k in each sum, ``>>`` and ``&`` give back G and H, whatever the sign of G.
    """
    nodes, slots = np.uint64(pairs.shape[0]), np.uint64(pairs.shape[1])
    shift, wides = np.uint64(hessian_bits), np.uint64(wide.size)
    mask = (1 << hessian_bits) - 1
    for node in range(nodes):
        start = node * (slots + wides)
        for slot in range(slots):
            element = packed[start + slot]
            pairs[node, slot, 0] = element >> shift
            pairs[node, slot, 1] = element & mask
        for index in range(wides):
            outgrown = np.uint64(wide[index])
            pairs[node, outgrown, 0] = packed[start + outgrown]
            pairs[node, outgrown, 1] = packed[start + slots + index]

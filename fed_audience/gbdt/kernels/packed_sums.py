"""Gradient and hessian sums of a slot in one integer, where their bounds leave room for both.

A slot with k hessian bits is ``G << k | H``; what does not fit is two integers, G in its place and
H behind all slots. Adding such vectors adds the sums in them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Integers = NDArray[np.int64]


@njit(nogil=True, cache=True)
def pack_pairs(
    pairs: Integers, wide: NDArray[np.int32], hessian_bits: int, packed: Integers
) -> None:
    """Write ``pairs`` int64[nodes, slots, 2] to ``packed`` int64[nodes * (slots + wide)].

    ``wide``: the slots that take two integers, ascending.
    """
    nodes, slots = np.uint64(pairs.shape[0]), np.uint64(pairs.shape[1])
    shift, wides = np.uint64(hessian_bits), np.uint64(wide.size)
    for node in range(nodes):
        start = node * slots
        for slot in range(slots):
            packed[start + slot] = (pairs[node, slot, 0] << shift) + pairs[node, slot, 1]
        behind = nodes * slots + node * wides
        for index in range(wides):
            outgrown = np.uint64(wide[index])
            packed[start + outgrown] = pairs[node, outgrown, 0]
            packed[behind + index] = pairs[node, outgrown, 1]


@njit(nogil=True, cache=True)
def unpack_pairs(
    packed: Integers, wide: NDArray[np.int32], hessian_bits: int, pairs: Integers
) -> None:
    """Read ``pairs`` int64[nodes, slots, 2] from what ``pack_pairs`` wrote, or from sums of it.

    With 0 <= H < 2^k in each sum, ``>>`` and ``&`` give back G and H, whatever the sign of G.
    """
    nodes, slots = np.uint64(pairs.shape[0]), np.uint64(pairs.shape[1])
    shift, wides = np.uint64(hessian_bits), np.uint64(wide.size)
    mask = (1 << hessian_bits) - 1
    for node in range(nodes):
        start = node * slots
        for slot in range(slots):
            element = packed[start + slot]
            pairs[node, slot, 0] = element >> shift
            pairs[node, slot, 1] = element & mask
        behind = nodes * slots + node * wides
        for index in range(wides):
            outgrown = np.uint64(wide[index])
            pairs[node, outgrown, 0] = packed[start + outgrown]
            pairs[node, outgrown, 1] = packed[behind + index]

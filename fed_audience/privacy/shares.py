"""Shamir's secret sharing of many seeds at once, over the field of 2^31 - 1 elements."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

from fed_audience.privacy.refusals import SecureSumError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

PRIME: Final = 2**31 - 1
SEED_BYTES: Final = 32
LIMBS: Final = 9
"""Field elements of one seed: 256 bits in limbs of 30."""

_LIMB_BITS: Final = 30
_HALF: Final = 16


def split_seeds(seeds: list[bytes], *, threshold: int, parties: int) -> NDArray[np.uint32]:
    """Share seeds of 32 bytes among ``parties``: uint32[parties, len(seeds), 9].

    Any ``threshold`` of the rows give the seeds back; fewer are independent of them (Shamir,
    "How to share a secret", 1979). Row p is the value at point p + 1. Coefficients come from the
    system's random source.
    """
    if not 1 <= threshold <= parties < PRIME:
        raise SecureSumError("bad_shares", detail=f"{threshold} of {parties}")
    limbs = _limbs(seeds)
    polynomials = np.vstack((limbs, _uniform((threshold - 1, limbs.size))))
    values = _product(_powers(parties, threshold), polynomials)
    return values.astype(np.uint32).reshape(parties, len(seeds), LIMBS)


def join_seed(shares: Mapping[int, NDArray[np.uint32]], *, threshold: int) -> bytes:
    """Recover one seed from party -> its share uint32[9]; ``threshold`` of them suffice.

    Raises SecureSumError (bad_shares) for too few, malformed or contradictory shares.
    """
    if len(shares) < threshold or any(
        share.shape != (LIMBS,) or (share >= PRIME).any() for share in shares.values()
    ):
        raise SecureSumError("bad_shares", detail=f"{len(shares)} shares", limit=threshold)
    parties = sorted(shares)[:threshold]
    weights = np.array([_weights_at_zero([p + 1 for p in parties])], dtype=np.int64)
    table = np.array([shares[p] for p in parties], dtype=np.int64)
    limbs = _product(weights, table)[0]
    if (limbs >> _LIMB_BITS).any() or int(limbs[-1]) >> (SEED_BYTES * 8 - 8 * _LIMB_BITS):
        raise SecureSumError("bad_shares", detail="they contradict each other")
    number = sum(int(limb) << (_LIMB_BITS * place) for place, limb in enumerate(limbs))
    return number.to_bytes(SEED_BYTES, "little")


def _limbs(seeds: list[bytes]) -> NDArray[np.int64]:
    """Cut each seed into limbs of 30 bits, the lowest first: int64[1, 9 seeds]."""
    text = np.frombuffer(b"".join(seeds), dtype=np.uint8).reshape(len(seeds), SEED_BYTES)
    bits = np.zeros((len(seeds), LIMBS * _LIMB_BITS), dtype=np.int64)
    bits[:, : 8 * SEED_BYTES] = np.unpackbits(text, axis=1, bitorder="little")
    limbs: NDArray[np.int64] = bits.reshape(-1, _LIMB_BITS) @ (1 << np.arange(_LIMB_BITS))
    return limbs.reshape(1, -1)


def _uniform(shape: tuple[int, int]) -> NDArray[np.int64]:
    """Draw uniform field elements: 31 random bits each, the one that is no element redrawn."""
    size = shape[0] * shape[1]
    drawn = np.frombuffer(os.urandom(4 * size), dtype=np.uint32).astype(np.int64) & PRIME
    while (outside := np.flatnonzero(drawn == PRIME)).size:
        again = np.frombuffer(os.urandom(4 * outside.size), dtype=np.uint32)
        drawn[outside] = again.astype(np.int64) & PRIME
    return drawn.reshape(shape)


@lru_cache(maxsize=8)
def _powers(parties: int, count: int) -> NDArray[np.int64]:
    """Return point ** 0 .. point ** (count - 1) by row, of the points 1 to ``parties``."""
    points = np.arange(1, parties + 1, dtype=np.int64)
    powers = np.ones((len(points), count), dtype=np.int64)
    for exponent in range(1, count):
        powers[:, exponent] = powers[:, exponent - 1] * points % PRIME
    return powers


def _product(left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.int64]:
    """Multiply matrices over the field.

    Factors are cut into halves of 16 bits, so that sums of up to 2^19 products stay below 2^53
    and floating-point matrix products are exact; three of them instead of four (Karatsuba).
    """
    high_left, low_left = (left >> _HALF).astype(np.float64), _low(left)
    high_right, low_right = (right >> _HALF).astype(np.float64), _low(right)
    high, low = high_left @ high_right, low_left @ low_right
    middle = (high_left + low_left) @ (high_right + low_right) - high - low
    shifted = ((high.astype(np.int64) % PRIME << _HALF) + middle.astype(np.int64)) % PRIME
    return ((shifted << _HALF) + low.astype(np.int64)) % PRIME


def _low(values: NDArray[np.int64]) -> NDArray[np.float64]:
    return (values & (2**_HALF - 1)).astype(np.float64)


def _weights_at_zero(points: list[int]) -> list[int]:
    """Lagrange's weights of the value at zero."""
    weights = []
    for point in points:
        above = below = 1
        for other in points:
            if other != point:
                above = above * other % PRIME
                below = below * (other - point) % PRIME
        weights.append(above * pow(below, -1, PRIME) % PRIME)
    return weights

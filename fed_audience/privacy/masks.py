"""Masks: streams of AES-256 in counter mode, added to and taken from a vector of ring elements.

The stream of a key is what AES-256-GCM encrypts zeros to, without its tag: AES-256-CTR from counter
2 (NIST SP 800-38D, 7.1). It comes in stretches, the nonce of each is its number. Where a processor
has vector instructions for AES, OpenSSL uses them for GCM alone: 13 GB/s instead of 5 by CTR.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from numpy.typing import NDArray

from fed_audience.privacy.refusals import SecureSumError

if TYPE_CHECKING:
    from collections.abc import Iterable

RingVector = NDArray[np.uint32] | NDArray[np.uint64]
"""Elements of a ring, unsigned."""

BLOCK_BYTES: Final = 64 * 1024
"""Length of one stretch of a stream: vector and stream stay in the cache together."""

_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
_ZEROS: Final = memoryview(bytes(BLOCK_BYTES))
_OWN: Final = threading.local()


@dataclass(frozen=True, slots=True)
class Ring:
    """Integers modulo 2^``bits`` (32 or 64), read as -2^(bits-1) .. 2^(bits-1)-1."""

    bits: int

    def __post_init__(self) -> None:
        if self.bits not in (32, 64):
            raise SecureSumError("out_of_range", detail=f"{self.bits} bits", limit="32 or 64")

    @property
    def bytes(self) -> int:
        """Length of one element."""
        return self.bits // 8

    @property
    def dtype(self) -> np.dtype[np.uint32] | np.dtype[np.uint64]:
        """Type of one element, little-endian."""
        return np.dtype(f"<u{self.bytes}")

    @property
    def largest(self) -> int:
        """The largest integer that has its own element."""
        return (1 << (self.bits - 1)) - 1

    def elements(self, values: NDArray[np.int64]) -> RingVector:
        """Return int64[n] as ring elements, unsigned, little-endian; a view where widths agree.

        Raises SecureSumError (out_of_range) when a value has no element of its own.
        """
        if self.bytes == values.itemsize:
            return np.ascontiguousarray(values, dtype="<i8").view("<u8")
        if len(values) and not (
            -self.largest - 1 <= int(values.min()) and int(values.max()) <= self.largest
        ):
            raise SecureSumError("out_of_range", limit=f"{self.bits} bits")
        narrow: NDArray[np.uint32] = values.astype("<i4").view("<u4")
        return narrow

    def integers(self, elements: RingVector) -> NDArray[np.int64]:
        """Read ring elements of this width as int64[n]."""
        signed = elements.view(f"<i{self.bytes}")
        return signed.astype(np.int64, copy=False)


RING_64: Final = Ring(64)
RING_32: Final = Ring(32)


def masked(
    vector: RingVector,
    add: Iterable[bytes],
    subtract: Iterable[bytes] = (),
    out: RingVector | None = None,
) -> RingVector:
    """Return ``vector`` plus the stream of each key of ``add``, less those of ``subtract``.

    Keys are 32 bytes and serve one vector only, as its stretches use up the nonces (NIST SP
    800-38D, 8). Memory is one block beside ``out``, of the vector's size and type, where the
    result is written: memory of its own unless it is given.
    """
    if out is None:
        out = np.empty_like(vector)
    streams: list[tuple[AESGCM, np.ufunc]] = [(AESGCM(key), np.add) for key in add]
    streams += [(AESGCM(key), np.subtract) for key in subtract]
    if not streams:
        out[:] = vector
    step = BLOCK_BYTES // vector.itemsize
    stretch = _own_stretch()
    noise = np.frombuffer(stretch, dtype=vector.dtype, count=step)
    for number, start in enumerate(range(0, len(vector), step)):
        source, part = vector[start : start + step], out[start : start + step]
        nonce, piece = number.to_bytes(_NONCE_BYTES, "big"), noise[: len(part)]
        zeros, sealed = _ZEROS[: part.nbytes], stretch[: part.nbytes + _TAG_BYTES]
        for stream, join in streams:
            stream.encrypt_into(nonce, zeros, None, sealed)
            join(source, piece, out=part)
            source = part
    return out


def _own_stretch() -> memoryview:
    """Return this thread's buffer for one stretch of a stream, and the tag that nobody needs."""
    found: memoryview | None = getattr(_OWN, "stretch", None)
    if found is None:
        found = _OWN.stretch = memoryview(bytearray(BLOCK_BYTES + _TAG_BYTES))
    return found

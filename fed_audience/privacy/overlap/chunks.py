"""What one process does with one chunk of a list; it loads no more than the group to do it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fed_audience.privacy.overlap import group

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

DOMAIN: Final = b"fed-audience-v1-overlap-ristretto255_XMD:SHA-512_R255MAP_RO_"


def hidden(salt: bytes, scalar: bytes, texts: Sequence[str]) -> bytes | None:
    """Return ``scalar`` times the point of each text under ``salt``, one behind the other."""
    hashing = group.HashToPoint(DOMAIN, salt)
    return _multiplied(scalar, (hashing.point(text.encode()) for text in texts))


def raised(scalar: bytes, points: bytes) -> bytes | None:
    """Return ``scalar`` times each point of 32 bytes; None when one of them is no point."""
    size = group.POINT_BYTES
    return _multiplied(scalar, (points[at : at + size] for at in range(0, len(points), size)))


def _multiplied(scalar: bytes, points: Iterator[bytes]) -> bytes | None:
    done = []
    for point in points:
        product = group.times(scalar, point)
        if product is None:
            return None
        done.append(product)
    return b"".join(done)

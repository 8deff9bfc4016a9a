"""The group ristretto255 (RFC 9496), and texts as points of it (RFC 9380, appendix B)."""

from __future__ import annotations

from functools import cache
from hashlib import sha512
from typing import Any, Final

from fed_audience.errors import ResourceError

POINT_BYTES: Final = 32
_UNIFORM_BYTES: Final = 64
_BLOCK: Final = bytes(sha512().block_size)


@cache
def sodium() -> Any:
    """Return the bindings to libsodium. Raises ResourceError where they are not installed."""
    try:
        import rbcl  # noqa: PLC0415 - an extra, and only needed here
    except ImportError as error:
        raise ResourceError(
            "comparing customers needs the package rbcl",
            looked="the installed packages",
            fix="pip install 'fed-audience[overlap]'",
        ) from error
    return rbcl


def new_scalar() -> bytes:
    """Draw a secret scalar, uniform and not zero, from the system's random source; 32 bytes."""
    return bytes(sodium().crypto_core_ristretto255_scalar_random())


def random_point() -> bytes:
    """Draw a uniform point from the system's random source; 32 bytes."""
    return bytes(sodium().crypto_core_ristretto255_random())


def public_of(scalar: bytes) -> bytes:
    """Return ``scalar`` times the base point."""
    return bytes(sodium().crypto_scalarmult_ristretto255_base(scalar))


def times(scalar: bytes, point: bytes) -> bytes | None:
    """Return ``scalar`` times ``point``; None where that is no point, or the identity."""
    try:
        return bytes(sodium().crypto_scalarmult_ristretto255(scalar, point))
    except (RuntimeError, ValueError):
        return None


class HashToPoint:
    """Texts as points, under ``domain`` (at most 255 bytes) and the secret ``salt``.

    Expansion by SHA-512 (RFC 9380, 5.3.1) and the map of ristretto255: nobody knows the logarithm
    of such a point. Texts under different domains or salts have nothing to do with each other.
    """

    def __init__(self, domain: bytes, salt: bytes = b"") -> None:
        self._begun = sha512(_BLOCK + salt)
        self._domain = domain + len(domain).to_bytes(1, "big")

    def point(self, text: bytes) -> bytes:
        """Return the point of ``text``, 32 bytes."""
        first = self._begun.copy()
        first.update(text + _UNIFORM_BYTES.to_bytes(2, "big") + b"\0" + self._domain)
        uniform = sha512(first.digest() + b"\1" + self._domain).digest()
        return bytes(sodium().crypto_core_ristretto255_from_hash(uniform))

"""Who a site is: a long-term Ed25519 key that signs what the site agrees to."""

from __future__ import annotations

import stat
from functools import lru_cache
from typing import TYPE_CHECKING, Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from fed_audience.privacy.refusals import SecureSumError

if TYPE_CHECKING:
    from pathlib import Path

KEY_BYTES = 32
SIGNATURE_BYTES = 64


class SiteIdentity:
    """The private key of one site. It is never shown, logged or sent."""

    def __init__(self, name: str, key: Ed25519PrivateKey) -> None:
        self.name = name
        self._key = key

    @classmethod
    def generate(cls, name: str) -> Self:
        """Make a fresh identity for ``name`` from the system's random source."""
        return cls(name, Ed25519PrivateKey.generate())

    @classmethod
    def from_pem(cls, name: str, text: str) -> Self:
        """Read an unencrypted PKCS #8 PEM. Raises SecureSumError (bad_identity)."""
        try:
            key = load_pem_private_key(text.encode(), password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise SecureSumError("bad_identity", detail="not an unencrypted PEM") from None
        if not isinstance(key, Ed25519PrivateKey):
            raise SecureSumError("bad_identity", detail=type(key).__name__)
        return cls(name, key)

    @classmethod
    def load(cls, name: str, path: Path) -> Self:
        """Read ``path``, which none but its owner may read. Raises SecureSumError."""
        try:
            mode = path.stat().st_mode
            text = path.read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not a PEM"
            raise SecureSumError("bad_identity", detail=f"{path}: {reason}") from None
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise SecureSumError(
                "bad_identity", detail=f"{path}: mode {stat.S_IMODE(mode):o}", limit="600"
            )
        return cls.from_pem(name, text)

    def to_pem(self) -> str:
        """PKCS #8 PEM of the private key, for the site's own safe."""
        return self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    @property
    def public_key(self) -> bytes:
        """The 32 bytes that stand in the roster."""
        return self._key.public_key().public_bytes_raw()

    def sign(self, text: bytes) -> bytes:
        """Ed25519 signature (RFC 8032) of ``text``, 64 bytes."""
        return self._key.sign(text)


def check_signature(site: str, public_key: bytes, signature: bytes, text: bytes) -> None:
    """Raise SecureSumError (bad_signature) unless ``public_key`` signed ``text``.

    Sites of one process are shown the same signatures; one that was good is good again.
    """
    try:
        _verify(public_key, signature, text)
    except (InvalidSignature, ValueError):
        raise SecureSumError("bad_signature", detail=site) from None


@lru_cache(maxsize=4096)  # an exception is not remembered
def _verify(public_key: bytes, signature: bytes, text: bytes) -> None:
    Ed25519PublicKey.from_public_bytes(public_key).verify(signature, text)

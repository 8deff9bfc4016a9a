"""Ed25519 keys of the parties: private ones in files only their owner reads, public ones pinned."""

from __future__ import annotations

import base64
import os
import stat
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from fed_audience.errors import AuditError, ConfigError
from fed_audience.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

LOG_KEY: Final = 0x01
"""Signature type of a log's own Ed25519 key (C2SP signed-note)."""
WITNESS_KEY: Final = 0x04
"""Signature type of a timestamped Ed25519 counter-signature (C2SP tlog-cosignature)."""
_PUBLIC_BYTES: Final = 32


class Signer(Protocol):
    """Whoever can sign under a name; the private key itself is never asked for."""

    @property
    def name(self) -> str:
        """Name of the key: no space, no plus."""
        ...

    @property
    def public_key(self) -> bytes:
        """Ed25519 public key, 32 bytes."""
        ...

    def sign(self, message: bytes) -> bytes:
        """Return the Ed25519 signature of ``message``, 64 bytes."""
        ...


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key, what it may sign, and the name it signs under (C2SP signed-note, vkey)."""

    name: str
    kind: int
    public_key: bytes

    @property
    def key_id(self) -> bytes:
        """Four bytes that tell keys of one name apart."""
        signed_as = self.name.encode() + b"\n" + bytes([self.kind])
        return sha256(signed_as + self.public_key).digest()[:4]

    def verifies(self, message: bytes, signature: bytes) -> bool:
        """Say whether ``signature`` is this key's over ``message``."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(signature, message)
        except InvalidSignature:
            return False
        return True

    def __str__(self) -> str:
        encoded = base64.b64encode(bytes([self.kind]) + self.public_key).decode()
        return f"{self.name}+{self.key_id.hex()}+{encoded}"

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """Read ``str(key)`` back; raises ValueError for anything else."""
        name, _, rest = text.partition("+")
        _, _, encoded = rest.partition("+")
        raw = base64.b64decode(encoded, validate=True)
        if len(raw) != 1 + _PUBLIC_BYTES or raw[0] not in (LOG_KEY, WITNESS_KEY):
            raise ValueError("not an Ed25519 verifier key")
        key = cls(name, raw[0], raw[1:])
        if str(key) != text or not name or any(sign.isspace() for sign in name):
            raise ValueError("not a verifier key in canonical form")
        return key


class KeyFile:
    """A private key in a PEM file (PKCS #8) that only its owner may read."""

    def __init__(self, name: str, private: Ed25519PrivateKey) -> None:
        self.name = name
        self._private = private
        self.public_key = private.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        """Return the Ed25519 signature of ``message``, 64 bytes."""
        return self._private.sign(message)

    @classmethod
    def open(cls, path: Path, name: str) -> KeyFile:
        """Read the key at ``path``, made there first where there is none.

        Raises ConfigError when the file holds no Ed25519 key, or others may read it.
        """
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return cls(name, _read_private(path))
        private = Ed25519PrivateKey.generate()
        with os.fdopen(descriptor, "wb") as out:
            out.write(
                private.private_bytes(
                    serialization.Encoding.PEM,
                    serialization.PrivateFormat.PKCS8,
                    serialization.NoEncryption(),
                )
            )
        return cls(name, private)


def _read_private(path: Path) -> Ed25519PrivateKey:
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(
            "others may read a private key",
            value=f"mode {stat.S_IMODE(path.stat().st_mode):o}",
            limit="mode 600",
            looked=str(path),
            fix=f"chmod 600 {path}, and make a new key if others had access",
        )
    try:
        private = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError) as error:
        raise _no_key(path) from error
    if not isinstance(private, Ed25519PrivateKey):
        raise _no_key(path)
    return private


def _no_key(path: Path) -> ConfigError:
    return ConfigError(
        "the file holds no Ed25519 private key",
        limit="PEM, PKCS #8, without a password",
        looked=str(path),
        fix="put the key back from a copy; without it this party cannot continue its logs",
    )


def read_pinned(path: Path) -> dict[str, VerifierKey]:
    """Read a file of pinned public keys, one verifier key a line, by name.

    Empty lines and lines that begin with # are skipped. Raises ConfigError for anything else.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            "the file of pinned keys cannot be read",
            value=getattr(error, "strerror", None) or "not UTF-8 text",
            looked=str(path),
            fix="give the file of public keys that your organisation keeps",
        ) from None
    found: dict[str, VerifierKey] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            key = VerifierKey.parse(line.strip())
        except ValueError:
            key = None
        if key is None or key.name in found:
            raise ConfigError(
                "a line of the pinned keys is no verifier key, or names one twice",
                looked=f"{path}:{number}",
                fix="write each key once, as name+id+base64",
            )
        found[key.name] = key
    if not found:
        raise ConfigError(
            "no key is pinned in the file",
            looked=str(path),
            fix="write the verifier key of each party into it, one a line",
        )
    return found


def write_pinned(path: Path, keys: Iterable[VerifierKey], *, agreed: bool = False) -> None:
    """Pin ``keys`` at ``path``; keys already pinned there stay, and must be the same.

    ``agreed``: all parties have signed that these are the keys, also where one is another than
    before. Raises AuditError when a name is pinned with another key otherwise.
    """
    pinned = read_pinned(path) if path.exists() else {}
    merged = dict(pinned)
    for key in keys:
        if agreed:
            merged[key.name] = key
        if merged.setdefault(key.name, key) != key:
            raise AuditError(
                "a party's key is not the one that was pinned before",
                value=key.name,
                looked=str(path),
                fix="put the old key file back, or pin the new key after asking that party",
            )
    if merged != pinned:
        text = "\n".join(
            ["# Public keys of the parties of our audit logs.", *map(str, merged.values())]
        )
        write_whole(path, f"{text}\n".encode(), "the pinned keys")

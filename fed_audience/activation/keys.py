"""Keyed digests: names for people and changes that mean nothing without the deployment's secret."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING

from fed_audience.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic import SecretStr

_SHORTEST_SECRET = 16
_KEY_HEX = 32


class StateKeys:
    """HMAC-SHA256 under the deployment's secret, one namespace per use, cut to 128 bits.

    ``scope`` (a site at a destination) is part of every record key, so two destinations cannot
    be joined on the ids that they hold. Raises ConfigError when the secret is under 16 bytes.
    """

    def __init__(self, secret: SecretStr, scope: str) -> None:
        self._secret = secret.get_secret_value().encode()
        if len(self._secret) < _SHORTEST_SECRET:
            raise ConfigError(
                "the state key is too short to protect anyone",
                value=f"{len(self._secret)} bytes",
                limit=f"{_SHORTEST_SECRET} bytes or more",
                fix="set it to a long random text, and keep it: state cannot be read without it",
            )
        self._record = hmac.new(self._secret, f"record\0{scope}\0".encode(), hashlib.sha256)

    def record_key(self, customer_id: str) -> str:
        """Return the name of a customer in state and at the destination."""
        one = self._record.copy()
        one.update(customer_id.encode())
        return one.hexdigest()[:_KEY_HEX]

    def digest(self, use: str, parts: Iterable[str]) -> str:
        """Return the digest of ``parts`` in order; ``use`` keeps digests of other uses apart."""
        one = hmac.new(self._secret, f"{use}\0".encode(), hashlib.sha256)
        for part in parts:
            encoded = part.encode()
            one.update(len(encoded).to_bytes(8, "little"))
            one.update(encoded)
        return one.hexdigest()[:_KEY_HEX]

    @property
    def id(self) -> str:
        """Short name of the secret, by which a changed secret is noticed."""
        return self.digest("key id", ())[:8]

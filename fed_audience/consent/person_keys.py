"""Names of people that mean nothing without the brand's own secret."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Final

from fed_audience.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic import SecretStr

_SHORTEST_SECRET: Final = 16
_KEY_BYTES: Final = 16


class PersonKeys:
    """HMAC-SHA256 (RFC 2104) of a customer id under a brand's secret, cut to 128 bits, as hex.

    Two sites name the same id differently. ``id`` is a short name of the secret, by which a
    changed one is noticed. Raises ConfigError for a secret under 16 bytes.
    """

    def __init__(self, secret: SecretStr, site: str) -> None:
        raw = secret.get_secret_value().encode()
        if len(raw) < _SHORTEST_SECRET:
            raise ConfigError(
                "the state key is too short to protect anyone",
                value=f"{len(raw)} bytes",
                limit=f"{_SHORTEST_SECRET} bytes or more",
                fix="set it to a long random text, and keep it",
            )
        self._key = hmac.digest(raw, f"person\0{site}".encode(), "sha256")
        self.id = hmac.digest(self._key, b"", "sha256")[:4].hex()

    def of(self, customer_id: str) -> str:
        """Return the key of one person."""
        return hmac.digest(self._key, customer_id.encode(), "sha256")[:_KEY_BYTES].hex()

    def of_all(self, customer_ids: Iterable[object]) -> list[str]:
        """Return the keys of people, whose ids count as text, in their order."""
        return [self.of(str(one)) for one in customer_ids]

"""Counts what leaves each site while training, by type of message."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from fed_audience.federation.messages import REPLIES, decode

if TYPE_CHECKING:
    from fed_audience.federation import Envelope


class EgressTally:
    """Hand it to the transport as ``on_message``; keeps counts and sizes, never a body."""

    def __init__(self) -> None:
        self._messages: Counter[tuple[str, str]] = Counter()
        self._bytes: Counter[tuple[str, str]] = Counter()

    def __call__(self, envelope: Envelope) -> None:
        """Count one message that crossed a border; those towards a site are not egress."""
        if envelope.direction != "from_site":
            return
        key = (envelope.site, type(decode(envelope.body)).__name__)
        self._messages[key] += 1
        self._bytes[key] += len(envelope.body)

    def rows(self) -> list[tuple[str, str, int, int]]:
        """Return (site, message type, messages, bytes), sorted."""
        return [(*key, count, self._bytes[key]) for key, count in sorted(self._messages.items())]


def reveals(message_type: str) -> str:
    """Say in words what a type of message gives away about the site that sends it."""
    return next(kind.reveals for kind in REPLIES if kind.__name__ == message_type)

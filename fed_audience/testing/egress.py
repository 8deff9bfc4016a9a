"""Records every byte that left a site, and proves what is in none of them."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fed_audience.federation import messages
from fed_audience.testing.needles import Find, Haystack, Needle

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fed_audience.federation.transport import Envelope


@dataclass(frozen=True, slots=True)
class Departure:
    """One body as it crossed a site's border. ``kind`` is its type in the protocol."""

    site: str
    direction: str
    kind: str
    body: bytes


@dataclass(frozen=True, slots=True)
class KindSummary:
    """All bodies of one kind, from one site, in one direction."""

    site: str
    direction: str
    kind: str
    count: int
    bytes: int
    largest: int


class EgressRecorder:
    """Give it to ``InProcessTransport(on_message=recorder)``; ``record`` takes other bodies.

    ``describe`` names the kind of a federation message. Safe among threads.
    """

    def __init__(self, describe: Callable[[bytes], str] | None = None) -> None:
        self.departures: list[Departure] = []
        self._describe = describe or _kind_of
        self._lock = threading.Lock()

    def __call__(self, envelope: Envelope) -> None:
        """Record a message of the federation, both ways."""
        kind = self._describe(envelope.body)
        self.record(envelope.body, site=envelope.site, kind=kind, direction=envelope.direction)

    def record(self, body: bytes, *, site: str, kind: str, direction: str = "from_site") -> None:
        """Record any other body, such as an HTTP request's."""
        with self._lock:
            self.departures.append(Departure(site, direction, kind, body))

    @property
    def bytes_sent(self) -> int:
        """Bytes that left all sites."""
        return sum(len(one.body) for one in self._leaving())

    @property
    def largest(self) -> Departure | None:
        """The largest body that left a site; the first of equals."""
        return max(self._leaving(), key=lambda one: len(one.body), default=None)

    def summary(self) -> list[KindSummary]:
        """Count bodies and bytes by site, direction and kind, the largest total first."""
        found: dict[tuple[str, str, str], list[int]] = {}
        for one in self.departures:
            found.setdefault((one.site, one.direction, one.kind), []).append(len(one.body))
        rows = [KindSummary(*key, len(s), sum(s), max(s)) for key, s in found.items()]
        return sorted(rows, key=lambda row: (-row.bytes, row.site, row.direction, row.kind))

    def find(self, needles: Sequence[Needle]) -> list[tuple[Departure, Find]]:
        """Return where any needle stands in any body, whichever way it went."""
        haystack = Haystack(needles)
        return [(one, found) for one in self.departures for found in haystack.search(one.body)]

    def assert_absent(self, needles: Sequence[Needle]) -> None:
        """Raise AssertionError when any needle is in any body, or nothing was looked at.

        Texts, bytes and numbers are looked for in every form that ``Haystack`` knows. The
        message names positions and forms, never a needle.
        """
        if not self.departures:
            message = "nothing was recorded, so nothing is proved"
            raise AssertionError(message)
        if not needles:
            message = "no needle was given, so nothing is proved"
            raise AssertionError(message)
        finds = self.find(needles)
        if finds:
            lines = [
                f"needle {found.needle} as {found.form} at byte {found.offset}"
                f"{f' of {found.within}' if found.within else ''}"
                f" in a {one.kind} of {one.site} ({one.direction})"
                for one, found in finds[:20]
            ]
            message = f"{len(finds)} finds:\n" + "\n".join(lines)
            raise AssertionError(message)

    def _leaving(self) -> list[Departure]:
        return [one for one in self.departures if one.direction == "from_site"]


def _kind_of(body: bytes) -> str:
    return type(messages.decode(body)).__name__

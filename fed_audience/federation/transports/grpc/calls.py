"""Requests under way: which sites still owe an answer, and where it goes."""

from __future__ import annotations

import itertools
import logging
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Final

from fed_audience.federation.transports.grpc import envelope_pb2 as pb
from fed_audience.federation.transports.grpc.metrics import METRICS
from fed_audience.federation.transports.grpc.protocol import chunks

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fed_audience.federation.transports.grpc.intake import Intake

_LOG: Final = logging.getLogger(__name__)
_LONGEST_ERROR: Final = 100


@dataclass(slots=True)
class Call:
    """One request to some sites. ``inbox``: a site and its reply, None where it failed.

    None instead of a pair says that the transport was closed. ``messages``: the parts of the
    request in their envelopes, written once for all sites.
    """

    number: int
    body: bytes
    messages: tuple[bytes, ...]
    waiting: set[str]
    inbox: SimpleQueue[tuple[str, bytes | None] | None] = field(default_factory=SimpleQueue)


class Calls:
    """The calls under way. All but ``made`` runs in the transport's event loop."""

    def __init__(self, chunk_bytes: int, intake: Intake) -> None:
        self._chunk_bytes = chunk_bytes
        self._intake = intake
        self._numbers = itertools.count(1)
        self._under_way: dict[int, Call] = {}

    def made(self, body: bytes, to: Sequence[str]) -> Call:
        """Make a call of ``body`` to the sites ``to``."""
        number = next(self._numbers)
        messages = tuple(
            pb.FromCoordinator(request=chunk).SerializeToString()
            for chunk in chunks(number, body, self._chunk_bytes)
        )
        return Call(number, body, messages, set(to))

    def begin(self, call: Call) -> None:
        """Wait for its answers from here on."""
        self._under_way[call.number] = call

    def end(self, call: Call) -> None:
        """Wait no more; what still comes is late, and what has come makes room."""
        self._under_way.pop(call.number, None)
        while (found := _next(call.inbox)) is not None:
            self.taken(found[1])

    def taken(self, reply: bytes | None) -> None:
        """Give back the room of a reply that somebody took from an inbox, from any thread."""
        if reply is not None:
            self._intake.leave(len(reply))

    def owed_by(self, site: str) -> Iterable[Call]:
        """List the calls that ``site`` has not answered, oldest first."""
        return [call for call in self._under_way.values() if site in call.waiting]

    def waits_for(self, site: str, number: int) -> bool:
        """Whether an answer of ``site`` to this call is still wanted."""
        call = self._under_way.get(number)
        return call is not None and site in call.waiting

    def answered(self, site: str, number: int, body: bytes) -> None:
        """Hand on a reply that was wanted, and with it the room that it takes."""
        call = self._under_way[number]
        call.waiting.discard(site)
        call.inbox.put((site, body))

    def failed(self, site: str, number: int, error: str) -> None:
        """Hand on that ``site`` has no answer."""
        if not self.waits_for(site, number):
            return
        said = "".join(filter(str.isprintable, error[:_LONGEST_ERROR]))
        _LOG.error(
            "site %s failed in a round: %s; its own log says more",
            site,
            said,
            extra={"event": "site_failed", "site": site},
        )
        METRICS.failures.labels(site).inc()
        call = self._under_way[number]
        call.waiting.discard(site)
        call.inbox.put((site, None))

    def abandon(self) -> None:
        """Tell everyone who waits that no answer will come."""
        for call in self._under_way.values():
            call.inbox.put(None)


def _next(inbox: SimpleQueue[Any]) -> tuple[str, bytes | None] | None:
    try:
        found: tuple[str, bytes | None] | None = inbox.get_nowait()
    except Empty:
        return None
    return found

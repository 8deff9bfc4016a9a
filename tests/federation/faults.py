"""A network that loses sites where a test says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

from fed_audience.federation import InProcessTransport, SiteProgram
from fed_audience.federation import messages as m
from fed_audience.federation.transport import Envelope

Fate = Literal["arrives", "lost on the way there", "lost on the way back"]


class Faulty(InProcessTransport):
    """``fate(site, request)`` says what becomes of each request, however often it is sent."""

    def __init__(
        self,
        sites: dict[str, SiteProgram],
        fate: Callable[[str, m.Request], Fate],
        on_message: Callable[[Envelope], None] | None = None,
    ) -> None:
        super().__init__(sites, on_message)
        self._fate = fate

    def call(self, body: bytes, to: Sequence[str], timeout: float) -> Iterator[tuple[str, bytes]]:
        request = m.decode_request(body)
        fates = {site: self._fate(site, request) for site in to}
        reached = [site for site in to if fates[site] != "lost on the way there"]
        for site, reply in super().call(body, reached, timeout):
            if fates[site] == "arrives":
                yield site, reply


def losing(
    gone: Sequence[str],
    place: tuple[int, int],
    *,
    fate: Fate = "lost on the way there",
    back: tuple[int, int] = (2**31, 0),
    kind: type[m.Request] = m.Request,
) -> Callable[[str, m.Request], Fate]:
    """Lose ``gone`` from tree and level ``place`` on, until ``back``; only for ``kind`` there."""

    def decide(site: str, request: m.Request) -> Fate:
        here = place <= request.slot.position < back
        at_place = request.slot.position == place
        if site in gone and here and (isinstance(request, kind) or not at_place):
            return fate if at_place else "lost on the way there"
        return "arrives"

    return decide

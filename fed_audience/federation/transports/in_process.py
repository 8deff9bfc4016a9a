"""All sites in this process: no sockets, the same bytes."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from fed_audience.errors import FederationError
from fed_audience.federation.enrolment import enrol_in_memory
from fed_audience.federation.transport import Envelope

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from fed_audience.federation.site import SiteProgram

_BRIEF: Final = 0.001
"""Processor seconds of an answer below which a thread costs more to wake than it computes."""


class InProcessTransport:
    """Calls site programs directly, at most ``threads`` at a time (default: one a core).

    Sites whose last answers were a matter of a millisecond take turns in the calling thread:
    side by side they would wait for the interpreter longer than they compute.

    Programs without an identity are enrolled with each other in memory, with their owner's leave
    to set any rule of the secure sum aside: whoever runs this process sees all rows anyway.

    ``on_message`` sees every message as it crosses a site's border, both ways; with several
    threads it is called from the calling thread all the same.
    """

    def __init__(
        self,
        programs: Mapping[str, SiteProgram],
        on_message: Callable[[Envelope], None] | None = None,
        *,
        threads: int | None = None,
    ) -> None:
        self._programs = dict(programs)
        enrol_in_memory(self._programs.values())
        self._on_message = on_message
        workers = min(threads or os.cpu_count() or 1, max(len(programs), 1))
        self._pool = ThreadPoolExecutor(workers, "sites") if workers > 1 else None
        self._brief = False

    def sites(self) -> list[str]:
        """Names of the sites, sorted."""
        return sorted(self._programs)

    def call(
        self, body: bytes, to: Sequence[str], timeout: float
    ) -> tuple[dict[str, bytes], set[str]]:
        """Let each site of ``to`` handle ``body``; no site is ever lost, ``timeout`` is unused."""
        del timeout
        for site in to:
            if site not in self._programs:
                raise FederationError(
                    "a site of the manifest is not in this process",
                    value=site,
                    limit=self.sites(),
                    fix="give the transport a program for each site of the manifest",
                )
            self._tell(Envelope(site, "to_site", body))

        def handle(site: str) -> tuple[bytes, float]:
            began = time.thread_time()
            reply = self._programs[site].handle(body)
            return reply, time.thread_time() - began

        pool = None if self._brief else self._pool
        answers = list(pool.map(handle, to) if pool else map(handle, to))
        self._brief = sum(seconds for _, seconds in answers) <= _BRIEF * len(answers)
        replies = {site: reply for site, (reply, _) in zip(to, answers, strict=True)}
        for site, reply in replies.items():
            self._tell(Envelope(site, "from_site", reply))
        return replies, set()

    def _tell(self, envelope: Envelope) -> None:
        if self._on_message is not None:
            self._on_message(envelope)

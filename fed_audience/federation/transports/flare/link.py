"""The coordinator's end of a FLARE job: rounds and questions as requests to its clients."""

from __future__ import annotations

import logging
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TYPE_CHECKING, Any, Final, Self

from fed_audience.errors import FederationError
from fed_audience.federation.lasting.control import RunPaused
from fed_audience.federation.transport import Envelope, begun
from fed_audience.federation.transports.flare.envelope import (
    INTRODUCTION,
    ROUND,
    TOPIC,
    Answer,
    read_answer,
    request_of,
)
from fed_audience.federation.transports.flare.introduction import Challenge, site_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from concurrent.futures import Future

_LOG: Final = logging.getLogger(__name__)
_PAUSE: Final = 0.5
"""Seconds between two tries to reach a client whose connection was lost."""
_INTRODUCTION_SECONDS: Final = 20.0
_MOST_AT_ONCE: Final = 64


class FlareLink:
    """Carries rounds and questions to the clients of one FLARE job; a context manager.

    ``engine``: FLARE's server engine in the job's process. ``stopped`` says that the job is
    aborted: nobody is waited for any more. ``on_message`` sees every round as it crosses a site's
    border, both ways. A client takes part once ``welcome`` has asked for whom it speaks.
    """

    def __init__(
        self,
        engine: Any,
        job: str,
        stopped: Callable[[], bool] = lambda: False,
        on_message: Callable[[Envelope], None] | None = None,
    ) -> None:
        self._engine = engine
        self._job = job
        self._stopped = stopped
        self._on_message = on_message
        self._clients: dict[str, str] = {}
        self._said: dict[str, str] = {}
        self._pool = ThreadPoolExecutor(_MOST_AT_ONCE, "fed-audience flare")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Wait for no answer any more."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def welcome(self, roster: Mapping[str, bytes]) -> list[str]:
        """Ask the job's clients for whom they speak; return the sites that can be reached, sorted.

        ``roster``: site -> Ed25519 public key. A site that is in it no more is let go. A client
        that cannot prove a site of it takes no part, and is named in the log.
        """
        self._clients = {site: name for site, name in self._clients.items() if site in roster}
        known = set(self._clients.values())
        unknown = [client.name for client in self._engine.get_clients()]
        asked = {
            self._pool.submit(self._introduced, name, roster): name
            for name in unknown
            if name not in known
        }
        for future in as_completed(asked):
            name = asked[future]
            try:
                site = future.result()
            except FederationError as error:
                self._say_once(name, str(error))
                continue
            if site is None:
                continue
            if self._clients.setdefault(site, name) != name:
                self._say_once(name, f"site {site} speaks through {self._clients[site]} already")
                continue
            _LOG.info("client %s speaks for site %s", name, site)
        return self.sites()

    def sites(self) -> list[str]:
        """Names of the sites that can be reached, sorted."""
        return sorted(self._clients)

    def call(self, body: bytes, to: Sequence[str], timeout: float) -> Iterator[tuple[str, bytes]]:
        """Send ``body`` to each site of ``to``; yield sites and their replies as they come.

        A site that is silent for ``timeout`` seconds, or says that it failed, is left out; one
        whose connection is lost is tried again until then. Raises RunPaused when the job is
        aborted before every site has answered.
        """
        deadline = time.monotonic() + timeout
        for site in to:
            self._tell(Envelope(site, "to_site", body))
        asked: dict[Future[Answer], str] = {
            self._pool.submit(self._ask, site, ROUND, body, deadline): site for site in to
        }
        return begun(self._answers(asked))

    def _answers(self, asked: Mapping[Future[Answer], str]) -> Iterator[tuple[str, bytes]]:
        """Yield what comes of a round, after a first pair that is none."""
        try:
            yield "", b""
            for future in as_completed(asked):
                site, answer = asked[future], future.result()
                if answer.body is None and self._stopped():
                    # Nobody is missing: a tree that ended here would be another tree.
                    raise RunPaused(
                        "the job was aborted during a round",
                        fix="submit it again: the run goes on where it rests",
                    )
                if answer.body is None:
                    _LOG.error(
                        "site %s failed in a round: %s; its own log says more",
                        site,
                        answer.refusal,
                        extra={"event": "site_failed", "site": site},
                    )
                    continue
                self._tell(Envelope(site, "from_site", answer.body))
                yield site, answer.body
        finally:
            for future in asked:
                future.cancel()

    def ask(self, site: str, kind: str, body: bytes, timeout: float) -> bytes:
        """Ask one site. Raises FederationError when it refuses, or does not answer in time."""
        answer = self._ask(site, kind, body, time.monotonic() + timeout)
        if answer.body is not None:
            return answer.body
        if answer.away:
            raise FederationError(
                f"site {site} does not answer: {answer.refusal}",
                value=f"waited {timeout:g} s",
                fix="look at the log of its FLARE client; it takes part again in the next job",
            )
        raise FederationError(f"site {site} refused the message {kind}: {answer.refusal}")

    def _introduced(self, client: str, roster: Mapping[str, bytes]) -> str | None:
        """Return the site that ``client`` proves to speak for; None while it cannot be reached.

        Raises FederationError.
        """
        challenge = Challenge.to(client, self._job)
        body = challenge.model_dump_json().encode()
        answer = self._send(client, INTRODUCTION, body, _INTRODUCTION_SECONDS)
        if answer.away:
            _LOG.info("client %s is not there yet: %s", client, answer.refusal)
            return None
        if answer.body is None:
            raise FederationError(f"client {client} does not take part: {answer.refusal}")
        return site_of(challenge, answer.body, roster)

    def _ask(self, site: str, kind: str, body: bytes, deadline: float) -> Answer:
        """Send to the client of ``site`` until it is reached, or time is over."""
        answer = Answer(None, "no client of the job speaks for it", away=True)
        while (client := self._clients.get(site)) and not self._stopped():
            left = deadline - time.monotonic()
            if left <= 0:
                break
            answer = self._send(client, kind, body, left)
            if not answer.away:
                return answer
            time.sleep(min(_PAUSE, max(0.0, deadline - time.monotonic())))
        return Answer(None, "the job is aborted", away=True) if self._stopped() else answer

    def _send(self, client: str, kind: str, body: bytes, timeout: float) -> Answer:
        """Send once."""
        with self._engine.new_context() as context:
            replies = self._engine.send_aux_request(
                targets=[client],
                topic=TOPIC,
                request=request_of(kind, body),
                timeout=timeout,
                fl_ctx=context,
                optional=True,
            )
        return read_answer((replies or {}).get(client))

    def _say_once(self, client: str, text: str) -> None:
        """Log what was not logged last of a client: it is asked every few seconds."""
        if self._said.get(client) != text:
            self._said[client] = text
            _LOG.warning("%s", text)

    def _tell(self, envelope: Envelope) -> None:
        if self._on_message is not None:
            self._on_message(envelope)

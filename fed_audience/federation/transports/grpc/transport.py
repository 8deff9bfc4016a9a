"""The coordinator's side: one open port, one stream a site, rounds over all of them."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from queue import Empty
from typing import TYPE_CHECKING, Final, Self

from fed_audience.errors import FederationError
from fed_audience.federation.transport import Envelope, begun
from fed_audience.federation.transports.grpc.calls import Call, Calls
from fed_audience.federation.transports.grpc.controls import Controls, body_of, checked
from fed_audience.federation.transports.grpc.descriptors import make_room_for
from fed_audience.federation.transports.grpc.gate import Gate
from fed_audience.federation.transports.grpc.intake import Intake
from fed_audience.federation.transports.grpc.listener import Listener
from fed_audience.federation.transports.grpc.metrics import METRICS
from fed_audience.federation.transports.grpc.protocol import Limits
from fed_audience.federation.transports.grpc.tls import ServerContext, split_address
from fed_audience.federation.transports.grpc.turned_away import TurnedAway

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine, Iterator, Mapping, Sequence
    from datetime import datetime
    from types import TracebackType
    from typing import Any

    from fed_audience.federation.certificates import TlsFiles
    from fed_audience.federation.transports.grpc.admission import Caller, Member

_LOG: Final = logging.getLogger(__name__)
_POLL: Final = 0.02
_FOLDER: Final = "fed-audience-"


@dataclass(frozen=True, slots=True)
class Connected:
    """A site that has a stream. ``program``: its version of fed-audience, as it says."""

    site: str
    address: str
    program: str
    since: datetime
    certificate_expires: datetime


class GrpcTransport:
    """Carries rounds over streams that the sites open; a context manager.

    ``listen``: "host:port", port 0 for any free one; no other port is needed. ``members``: the
    roster, read whenever a site connects: change it to admit or revoke. ``on_message`` sees every
    message as it crosses a site's border, both ways.

    A site that loses its stream and comes back within a round is sent the round's request again.
    """

    def __init__(
        self,
        listen: str,
        tls: TlsFiles,
        members: Mapping[str, Member],
        *,
        limits: Limits | None = None,
        on_message: Callable[[Envelope], None] | None = None,
    ) -> None:
        self._listen = split_address(listen)
        self._tls = tls
        self._members = members
        self._limits = limits or Limits()
        self._on_message = on_message
        self._controls: Controls[Caller] = Controls(self._limits.control_bytes)
        intake = Intake(self._limits.intake_bytes)
        self._calls = Calls(self._limits.chunk_bytes, intake)
        turned_away = TurnedAway()
        self._turned_away = turned_away
        self._listener = Listener(
            members, self._controls, self._calls, self._limits, turned_away, intake
        )
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="fed-audience transport", daemon=True
        )
        self._gate: Gate | None = None
        self._folder: Path | None = None
        self._closing = threading.Lock()
        self._closed = False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def start(self) -> None:
        """Listen. Raises FederationError for certificates, ResourceError for the port."""
        context = ServerContext(self._tls)
        make_room_for(len(self._members))
        self._folder = _socket_folder()
        try:
            self._gate = Gate(self._listen, context, self._folder, self._limits, self._turned_away)
            self._thread.start()
            self._run(self._listener.start(self._folder, self._gate))
        except BaseException:
            self.close()
            raise
        self._gate.start()
        _LOG.info(
            "the coordinator listens on %s",
            self.address,
            extra={"event": "listening", "address": self.address},
        )

    def close(self) -> None:
        """Close the port and every stream; a call under way ends with FederationError."""
        with self._closing:
            if not self._closed:
                self._closed = True
                self._close()

    def _close(self) -> None:
        if self._gate is not None:
            self._gate.stop()
        if self._thread.is_alive():
            self._run(self._listener.stop())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        self._loop.close()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def address(self) -> str:
        """Where it listens, "host:port"."""
        if self._gate is None:
            raise FederationError("the transport is not listening", fix="use it as a context")
        host, port = self._gate.address
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def sites(self) -> list[str]:
        """Names of the sites that have a stream, sorted."""
        return sorted(self._listener.sessions)

    def connected(self) -> list[Connected]:
        """Say of each site that has a stream where it is and since when."""
        sessions = sorted(dict(self._listener.sessions).items())
        return [
            Connected(
                site,
                session.admitted.caller.address,
                session.admitted.program,
                session.since,
                session.admitted.caller.certificate.expires,
            )
            for site, session in sessions
        ]

    def wait_for(self, sites: Collection[str], timeout: float) -> list[str]:
        """Wait until all of ``sites`` have a stream, ``timeout`` seconds at most.

        Returns those that have none, sorted.
        """
        deadline = time.monotonic() + timeout
        while missing := sorted(set(sites) - self._listener.sessions.keys()):
            if time.monotonic() >= deadline:
                return missing
            time.sleep(_POLL)
        return []

    def call(self, body: bytes, to: Sequence[str], timeout: float) -> Iterator[tuple[str, bytes]]:
        """Send ``body`` to each site of ``to``; yield sites and their replies as they come.

        A site that is silent for ``timeout`` seconds, or says that it failed, is left out. The
        request is under way when this returns.
        """
        for site in to:
            if site not in self._members:
                raise FederationError(
                    "a site of the run is not in this federation's roster",
                    value=site,
                    limit=sorted(self._members),
                    fix="let the site join, or leave it out of the run",
                )
        call = self._calls.made(body, to)
        deadline = time.monotonic() + timeout
        for site in to:
            self._tell(Envelope(site, "to_site", body))
        # Counted before it is sent: an answer may be there when this thread has its next turn.
        owed = len(call.waiting)
        self._loop.call_soon_threadsafe(self._begin, call)
        return begun(self._replies(call, owed, deadline))

    def _replies(self, call: Call, owed: int, deadline: float) -> Iterator[tuple[str, bytes]]:
        """Yield what comes of ``call``, after a first pair that is none."""
        try:
            yield "", b""
            while owed:
                try:
                    found = call.inbox.get(timeout=max(0.0, deadline - time.monotonic()))
                except Empty:
                    return
                if found is None:
                    raise FederationError(
                        "the transport was closed during a round", fix="start the run again"
                    )
                owed -= 1
                site, reply = found
                if reply is not None:
                    try:
                        self._tell(Envelope(site, "from_site", reply))
                        yield site, reply
                    finally:
                        self._calls.taken(reply)
        finally:
            if not self._closed:
                self._loop.call_soon_threadsafe(self._calls.end, call)

    def on(
        self, kind: str, handle: Callable[[Caller, bytes], bytes], *, guests: bool = False
    ) -> None:
        """Answer control messages of ``kind`` with the bytes that ``handle`` returns.

        ``handle`` runs in a thread of its own and may raise one of our errors: its sentence goes
        to the caller. ``guests``: also those who are in no roster yet.
        """
        self._controls.on(kind, handle, guests=guests)

    def ask(self, site: str, kind: str, body: bytes, timeout: float = 30.0) -> bytes:
        """Send a control message to the agent of ``site`` and return its answer.

        Raises FederationError when the site has no stream, refuses, or is silent for ``timeout``
        seconds.
        """
        checked(kind, body, self._limits.control_bytes)
        session = self._listener.sessions.get(site)
        if session is None:
            raise FederationError(
                f"site {site} is not connected",
                limit=self.sites(),
                fix="start its agent, or look at its log",
            )
        answer = self._run(session.ask(kind, body, timeout))
        return body_of(f"site {site}", kind, answer)

    def remove(self, site: str, text: str) -> None:
        """End the stream of ``site`` and tell it why: after ``members`` has lost it, for good."""
        self._run(self._listener.remove(site, text))

    def _begin(self, call: Call) -> None:
        self._calls.begin(call)
        METRICS.rounds.inc()
        for site in call.waiting:
            if session := self._listener.sessions.get(site):
                session.send(call)

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _tell(self, envelope: Envelope) -> None:
        if self._on_message is not None:
            self._on_message(envelope)


def _socket_folder() -> Path:
    """Make a folder for the transport's own socket, whose path must be short.

    Those of processes that were killed before they could remove theirs are removed.
    """
    for left in Path(tempfile.gettempdir()).glob(f"{_FOLDER}*-*"):
        owner = left.name.removeprefix(_FOLDER).partition("-")[0]
        if owner.isdecimal() and not _is_alive(int(owner)):
            # Those of other users are not ours to remove, and stay.
            shutil.rmtree(left, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{_FOLDER}{os.getpid()}-"))


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True

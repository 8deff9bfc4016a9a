"""A site's side: one outbound stream, made anew when it is lost, rounds answered on it."""

from __future__ import annotations

import itertools
import logging
import random
import threading
import time
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import suppress
from queue import Queue
from typing import TYPE_CHECKING, Final, Literal, Self

from fed_audience.errors import FederationError
from fed_audience.federation.transport import Envelope
from fed_audience.federation.transports.grpc import envelope_pb2 as pb
from fed_audience.federation.transports.grpc.channel import (
    Stream,
    StreamRefused,
    Unreachable,
    Way,
)
from fed_audience.federation.transports.grpc.controls import Controls, body_of, checked
from fed_audience.federation.transports.grpc.protocol import Assembly, Limits, chunks

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from fed_audience.federation.certificates import TlsFiles
    from fed_audience.privacy.identity import SiteIdentity

_LOG: Final = logging.getLogger(__name__)
FIRST_PAUSE: Final = 0.2
LONGEST_PAUSE: Final = 30.0
_JITTER: Final = random.Random()  # noqa: S311 - no secret; programs may have seeded the shared one
_WAITING: Final = 4
"""Requests that may wait for the one under way; further ones stay in the network."""


class SiteLink:
    """Answers the coordinator's rounds with ``handle``, over a stream that this site opens.

    ``handle``: bytes of a request to bytes of a reply, as ``SiteProgram.handle``; it runs in one
    thread. A request that comes again after a lost connection is handled again and must give the
    same bytes. ``identity``: the site's roster key. ``on_message`` sees every round's message as it
    crosses this site's border. A lost connection is made anew, after pauses of 0.2 to 30 s.
    """

    def __init__(
        self,
        address: str,
        tls: TlsFiles,
        identity: SiteIdentity,
        handle: Callable[[bytes], bytes],
        *,
        limits: Limits | None = None,
        on_message: Callable[[Envelope], None] | None = None,
    ) -> None:
        self._limits = limits or Limits()
        self._way = Way(identity.name, address, tls, identity, self._limits)
        self._handle = handle
        self._on_message = on_message
        self._controls: Controls[None] = Controls(self._limits.control_bytes)
        self._requests: Queue[tuple[Stream, int, bytes] | None] = Queue(_WAITING)
        self._handlers = ThreadPoolExecutor(self._limits.controls, "fed-audience control")
        self._room = threading.Semaphore(self._limits.controls)
        self._asks: dict[int, Future[pb.ControlAnswer]] = {}
        self._numbers = itertools.count(1)
        self._stream: Stream | None = None
        self._stopping = threading.Event()
        self._up = threading.Event()
        self._thread: threading.Thread | None = None
        self._failure: FederationError | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def connected(self) -> bool:
        """Whether there is a stream at this moment."""
        return self._up.is_set()

    @property
    def failure(self) -> FederationError | None:
        """What ended a link that runs in a thread of its own."""
        return self._failure

    def wait_connected(self, timeout: float) -> bool:
        """Wait for a stream, ``timeout`` seconds at most; raises ``failure`` if there is one."""
        up = self._up.wait(timeout)
        if self._failure is not None:
            raise self._failure
        return up

    def on(self, kind: str, handle: Callable[[bytes], bytes]) -> None:
        """Answer the coordinator's control messages of ``kind``; also while a round is computed.

        ``handle`` runs in a thread of its own and may raise one of our errors: its sentence goes
        to the coordinator.
        """
        self._controls.on(kind, lambda _, body: handle(body))

    def start(self) -> None:
        """Run in a thread of its own; see ``failure`` for what ends it early."""
        self._thread = threading.Thread(target=self._run_quietly, name="fed-audience link")
        self._thread.daemon = True
        self._thread.start()

    def stop(self) -> None:
        """Finish the round under way, answer it, and hang up. May be called from any thread."""
        self._stopping.set()
        self._requests.put(None)
        if self._thread is not None:
            self._thread.join()

    def run(self) -> None:
        """Serve until ``stop``. Raises FederationError when no further attempt can help.

        That is: a certificate with a fault, or a coordinator that refuses this site by name.
        """
        worker = threading.Thread(target=self._work, name="fed-audience rounds", daemon=True)
        worker.start()
        try:
            self._keep_connected()
        finally:
            self._stopping.set()
            self._requests.put(None)
            self._handlers.shutdown(wait=False, cancel_futures=True)
            worker.join()

    def ask(self, kind: str, body: bytes, timeout: float = 30.0) -> bytes:
        """Send a control message to the coordinator and return its answer.

        Raises FederationError when there is no stream, or the coordinator refuses or is silent for
        ``timeout`` seconds.
        """
        checked(kind, body, self._limits.control_bytes)
        stream = self._stream
        if stream is None:
            raise FederationError("this site is not connected", looked=self._way.address)
        number = next(self._numbers)
        future: Future[pb.ControlAnswer] = Future()
        self._asks[number] = future
        try:
            stream.send(pb.FromSite(control=pb.Control(id=number, kind=kind, body=body)))
            return body_of("the coordinator", kind, future.result(timeout))
        except CancelledError:
            raise FederationError(
                f"the connection was lost before the message {kind} was answered",
                fix="try again",
            ) from None
        except FutureTimeoutError:
            raise FederationError(
                f"the coordinator did not answer the message {kind}", value=f"{timeout:g} s"
            ) from None
        finally:
            del self._asks[number]

    def _run_quietly(self) -> None:
        try:
            self.run()
        except FederationError as error:
            self._failure = error
            _LOG.error("the site is no longer served: %s", error, extra={"event": "link_ended"})
            self._up.set()

    def _keep_connected(self) -> None:
        pause, reached = FIRST_PAUSE, False
        while not self._stopping.is_set():
            began = None
            try:
                with Stream(self._way, "agent") as stream:
                    reached, began = True, time.monotonic()
                    self._serve(stream)
            except Unreachable as error:
                _LOG.warning("%s; trying again", error, extra={"event": "link_lost"})
            except StreamRefused as error:
                if not error.passing:
                    raise
                _LOG.warning("%s; trying again", error, extra={"event": "link_lost"})
            except FederationError as error:
                # Files that are being renewed mend themselves, but not before the first success.
                if not reached:
                    raise
                _LOG.warning("%s; trying again", error, extra={"event": "link_lost"})
            if began is not None and time.monotonic() - began > LONGEST_PAUSE:
                pause = FIRST_PAUSE
            # Sites that lost the same coordinator do not all come back in the same moment.
            self._stopping.wait(pause * _JITTER.uniform(0.5, 1.0))
            pause = min(2 * pause, LONGEST_PAUSE)

    def _serve(self, stream: Stream) -> None:
        self._stream = stream
        self._up.set()
        _LOG.info(
            "connected to the coordinator at %s", self._way.address, extra={"event": "link_up"}
        )
        try:
            # Stopped before there was a stream to hang up: nobody else will end it.
            if not self._stopping.is_set():
                self._read(stream)
        finally:
            self._stream = None
            self._up.clear()
            for ask in list(self._asks.values()):
                ask.cancel()

    def _read(self, stream: Stream) -> None:
        assembly = Assembly(self._limits)
        for message in stream:
            match message.WhichOneof("content"):
                case "request":
                    body = assembly.add(message.request)
                    if body is not None:
                        self._requests.put((stream, message.request.call, body))
                case "ping":
                    stream.send(pb.FromSite(pong=pb.Pong()))
                case "control":
                    self._room.acquire()
                    self._handlers.submit(self._answer, stream, message.control)
                case "answer":
                    waiting = self._asks.get(message.answer.id)
                    if waiting is not None:
                        with suppress(Exception):
                            waiting.set_result(message.answer)
                case other:
                    raise FederationError(f"the coordinator sent what has no place here: {other}")

    def _work(self) -> None:
        """Answer requests, one after the other."""
        while (item := self._requests.get()) is not None:
            stream, call, body = item
            if stream is not self._stream:  # lost meanwhile: it comes again on the next one
                continue
            self._tell("to_site", body)
            try:
                reply = self._handle(body)
            except Exception as error:  # noqa: BLE001 - the next round may succeed
                _LOG.exception("a round failed at this site")
                failure = pb.Failure(call=call, error=type(error).__name__)
                stream.send(pb.FromSite(failure=failure))
                continue
            self._tell("from_site", reply)
            parts = chunks(call, reply, self._limits.chunk_bytes, self._limits.opening_bytes)
            stream.send_all(pb.FromSite(reply=part) for part in parts)
        if last := self._stream:
            last.finish()

    def _answer(self, stream: Stream, control: pb.Control) -> None:
        try:
            answer = self._controls.answer(None, control, guest=False)
            stream.send(pb.FromSite(answer=answer))
        finally:
            self._room.release()

    def _tell(self, direction: Literal["to_site", "from_site"], body: bytes) -> None:
        if self._on_message is not None:
            self._on_message(Envelope(self._way.site, direction, body))

"""The coordinator's end of one stream, from its peer's first message to its last."""

from __future__ import annotations

import asyncio
import itertools
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from grpc.aio import BaseError  # type: ignore[import-untyped]

from fed_audience.errors import FederationError
from fed_audience.federation.transports.grpc import envelope_pb2 as pb
from fed_audience.federation.transports.grpc.metrics import METRICS, SiteCounters
from fed_audience.federation.transports.grpc.protocol import Assembly, EnvelopeError

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

    from fed_audience.federation.transports.grpc.admission import Admitted, Caller
    from fed_audience.federation.transports.grpc.calls import Call, Calls
    from fed_audience.federation.transports.grpc.controls import Controls
    from fed_audience.federation.transports.grpc.intake import Intake
    from fed_audience.federation.transports.grpc.protocol import Limits, RefusalReason

_HANG_UP_SECONDS: Final = 1.0
_TICK: Final = 0.5


class Session:
    """One stream of an admitted peer. Everything here runs in the transport's event loop.

    ``stream``: gRPC's context, which reads and writes messages of the envelope.
    """

    def __init__(
        self,
        stream: Any,
        admitted: Admitted,
        *,
        calls: Calls,
        controls: Controls[Caller],
        handlers: Executor,
        limits: Limits,
        intake: Intake,
    ) -> None:
        self.admitted = admitted
        self.since = datetime.now(UTC)
        self._stream = stream
        self._calls = calls
        self._controls = controls
        self._handlers = handlers
        self._limits = limits
        self._writing = asyncio.Lock()
        self._sending = asyncio.Lock()
        self._unsent = 0
        self._room = asyncio.Semaphore(limits.controls)
        self._tasks: set[asyncio.Task[None]] = set()
        self._asks: dict[int, asyncio.Future[pb.ControlAnswer]] = {}
        self._numbers = itertools.count(1)
        self._pong: asyncio.Future[None] | None = None
        self._assembly = Assembly(limits)
        self._intake = intake
        self._entered = 0
        self._entered_at = 0.0
        self._ended: tuple[RefusalReason, str] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._closed = asyncio.Event()

    @property
    def site(self) -> str:
        """Name of the site, as it says itself."""
        return self.admitted.caller.site

    @cached_property
    def _counters(self) -> SiteCounters:
        """Of an agent alone: the names that guests give themselves are without end."""
        return SiteCounters(self.site)

    async def serve(self) -> None:
        """Read until the peer hangs up or ``end`` is called.

        Raises EnvelopeError when the peer breaks the rules, or with the reason given to ``end``.
        """
        # A task of its own, so that its end can be told from the end of the call around it.
        self._reading = asyncio.ensure_future(self._read())
        try:
            await self._reading
        except asyncio.CancelledError:
            if self._ended is not None:
                raise EnvelopeError(*self._ended) from None
            around = asyncio.current_task()
            if around is not None and around.cancelling():
                raise
        finally:
            self._reading.cancel()
            for task in self._tasks:
                task.cancel()
            for ask in self._asks.values():
                ask.cancel()
            self._make_room()
            self._closed.set()

    async def end(self, reason: RefusalReason, text: str) -> None:
        """Stop reading, and wait until the stream is being closed."""
        self._ended = (reason, text)
        if self._reading is not None:
            self._reading.cancel()
        await asyncio.wait_for(self._closed.wait(), _HANG_UP_SECONDS)

    async def write(self, message: pb.FromCoordinator) -> None:
        """Send one message; waits while the peer does not read."""
        await self._write(message.SerializeToString())

    async def _write(self, message: bytes) -> None:
        async with self._writing:
            await self._stream.write(message)

    def send(self, call: Call) -> None:
        """Send a request without waiting for it; one that nobody waits for any more stays here.

        A peer that leaves too many unread is hung up on: they would pile up in memory.
        """
        if self._unsent >= self._limits.unread and self._reading is not None:
            self._ended = ("not_reading", f"it left {self._unsent} requests unread")
            self._reading.cancel()
            return
        self._unsent += 1
        self._spawn(self._send(call))

    async def alive(self) -> bool:
        """Ask the peer for a sign of life; it answers also while it computes."""
        if self._pong is None:
            self._pong = asyncio.get_running_loop().create_future()
        try:
            await asyncio.wait_for(
                asyncio.gather(
                    self.write(pb.FromCoordinator(ping=pb.Ping())), asyncio.shield(self._pong)
                ),
                self._limits.silence_seconds / 4,
            )
        except Exception:  # noqa: BLE001 - whatever stops the answer, there is none
            return False
        return True

    async def ask(self, kind: str, body: bytes, seconds: float) -> pb.ControlAnswer:
        """Send a control message and wait for the answer. Raises FederationError without one."""
        number = next(self._numbers)
        answer: asyncio.Future[pb.ControlAnswer] = asyncio.get_running_loop().create_future()
        self._asks[number] = answer
        try:
            async with asyncio.timeout(seconds):
                control = pb.Control(id=number, kind=kind, body=body)
                await self.write(pb.FromCoordinator(control=control))
                return await answer
        except TimeoutError:
            raise FederationError(
                f"site {self.site} did not answer the message {kind}", value=f"{seconds:g} s"
            ) from None
        except (asyncio.CancelledError, BaseError) as error:
            # The stream ends while the answer is waited for, or has just ended for gRPC.
            if isinstance(error, asyncio.CancelledError) and not answer.cancelled():
                raise
            raise FederationError(
                f"site {self.site} hung up before it answered the message {kind}"
            ) from None
        finally:
            del self._asks[number]

    async def _read(self) -> None:
        while isinstance(message := await self._next(), pb.FromSite):
            length = 0
            match message.WhichOneof("content"):
                case "reply":
                    length = self._take_reply(message.reply)
                case "failure":
                    self._calls.failed(self.site, message.failure.call, message.failure.error)
                case "control":
                    await self._take_control(message.control)
                case "answer":
                    waiting = self._asks.get(message.answer.id)
                    if waiting is not None and not waiting.done():
                        waiting.set_result(message.answer)
                case "pong":
                    if self._pong is not None and not self._pong.done():
                        self._pong.set_result(None)
                    self._pong = None
                case other:
                    raise EnvelopeError(
                        "bad_envelope", f"a message that has no place here: {other or 'unreadable'}"
                    )
            # Else every stream would hold its last message until its next one comes.
            del message
            if length:
                await self._intake.enter(length)
                self._entered, self._entered_at = length, asyncio.get_running_loop().time()

    async def _next(self) -> Any:
        """Return the peer's next message, or what gRPC has for the end of the stream.

        A peer that begins a long reply and dawdles would keep the room of all others: it is hung up
        on while one of them waits.
        """
        if not self._entered:
            return await self._stream.read()
        loop, came = asyncio.get_running_loop(), self._assembly.held
        due = self._limits.stall_seconds * (1 + came / self._limits.chunk_bytes)
        reading = asyncio.ensure_future(self._stream.read())
        try:
            while not self._intake.awaited or loop.time() < self._entered_at + due:
                done, _ = await asyncio.wait({reading}, timeout=_TICK)
                if done:
                    return reading.result()
        finally:
            reading.cancel()
        raise EnvelopeError(
            "stalled",
            f"{came:,} of {self._entered:,} bytes of its reply came in {due:.0f} s, "
            "and others wait for the room",
        )

    def _take_reply(self, chunk: pb.Chunk) -> int:
        """Take a part; return the length of a reply that begins with it and needs room."""
        if self.admitted.caller.role != "agent":
            raise EnvelopeError("bad_envelope", "a reply from somebody who is asked nothing")
        wanted = self._calls.waits_for(self.site, chunk.call)
        body = self._assembly.add(chunk, wanted=wanted)
        if not wanted:
            self._make_room()
            METRICS.late.labels(self.site).inc()
        elif body is None:
            return 0 if self._entered else chunk.size
        else:
            if not self._entered:
                self._intake.take(len(body))
            self._entered = 0
            self._calls.answered(self.site, chunk.call, body)
            self._counters.replies.inc()
            self._counters.received.inc(len(body))
        return 0

    def _make_room(self) -> None:
        """Give back the room of a reply that will not be whole."""
        if self._entered:
            self._intake.leave(self._entered)
            self._entered = 0

    async def _take_control(self, control: pb.Control) -> None:
        if len(control.body) > self._limits.control_bytes:
            raise EnvelopeError(
                "too_long",
                f"a control message of {len(control.body):,} bytes, "
                f"allowed: {self._limits.control_bytes:,}",
            )
        # No more is read while that many are at work: the peer's own stream slows it down.
        await self._room.acquire()
        self._spawn(self._answer(control))

    async def _answer(self, control: pb.Control) -> None:
        try:
            caller = self.admitted.caller
            answer: Callable[[], pb.ControlAnswer] = lambda: self._controls.answer(  # noqa: E731
                caller, control, guest=caller.role == "guest"
            )
            found = await asyncio.get_running_loop().run_in_executor(self._handlers, answer)
            await self.write(pb.FromCoordinator(answer=found))
        finally:
            self._room.release()

    async def _send(self, call: Call) -> None:
        try:
            # Parts of two bodies must not mix; control messages may come between them.
            async with self._sending:
                if self._calls.waits_for(self.site, call.number):
                    for message in call.messages:
                        await self._write(message)
                    self._counters.sent.inc(len(call.body))
        finally:
            self._unsent -= 1

    def _spawn(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None and self._reading is not None:
            # A stream that cannot be written to is at its end.
            self._reading.cancel()

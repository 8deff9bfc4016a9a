"""The server behind the gate: streams of sites, and the standard health service."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import grpc  # type: ignore[import-untyped]
from google.protobuf.message import DecodeError

from fed_audience import __version__
from fed_audience.federation.transports.grpc import envelope_pb2 as pb
from fed_audience.federation.transports.grpc.admission import Admitted, Caller, admit
from fed_audience.federation.transports.grpc.health import health_handler
from fed_audience.federation.transports.grpc.metrics import METRICS
from fed_audience.federation.transports.grpc.protocol import (
    SERVICE,
    SLACK,
    EnvelopeError,
    Limits,
    RefusalReason,
)
from fed_audience.federation.transports.grpc.servers import UNIX, Servers
from fed_audience.federation.transports.grpc.session import Session
from fed_audience.federation.transports.grpc.turned_away import Ration

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from fed_audience.federation.transports.grpc.admission import Member
    from fed_audience.federation.transports.grpc.calls import Calls
    from fed_audience.federation.transports.grpc.controls import Controls
    from fed_audience.federation.transports.grpc.gate import Gate
    from fed_audience.federation.transports.grpc.intake import Intake
    from fed_audience.federation.transports.grpc.turned_away import TurnedAway

_LOG: Final = logging.getLogger(__name__)
_METADATA_BYTES: Final = 2**13
_STREAMS: Final = 8
_REFUSAL_SECONDS: Final = 2.0


class Listener:
    """Admits streams and keeps the one of each site. Lives in one event loop."""

    def __init__(
        self,
        members: Mapping[str, Member],
        controls: Controls[Caller],
        calls: Calls,
        limits: Limits,
        turned_away: TurnedAway,
        intake: Intake,
    ) -> None:
        self.sessions: dict[str, Session] = {}
        self._members = members
        self._controls = controls
        self._calls = calls
        self._limits = limits
        self._turned_away = turned_away
        self._intake = intake
        self._handlers = ThreadPoolExecutor(limits.controls, "fed-audience control")
        self._entrances: dict[str, asyncio.Lock] = {}
        self._seen: set[str] = set()
        self._visitors = 0
        self._comings = Ration()
        self._gate: Gate | None = None
        self._servers: Servers | None = None

    async def start(self, folder: Path, gate: Gate) -> None:
        """Serve on Unix sockets in ``folder``, for the peers that ``gate`` lets through."""
        self._gate = gate
        self._servers = Servers(folder, self._made, gate)
        await self._servers.start()

    async def stop(self) -> None:
        """End every stream and the server."""
        self._calls.abandon()
        if self._servers is not None:
            await self._servers.stop()
        self._handlers.shutdown(wait=False, cancel_futures=True)

    async def _made(self) -> Any:
        """Make a server that knows our service and the standard one for health."""
        server = grpc.aio.server(options=_options(self._limits, len(self._members)))
        join = grpc.stream_stream_rpc_method_handler(
            self._join,
            request_deserializer=_parsed,
            response_serializer=None,
        )
        streams = grpc.method_handlers_generic_handler(SERVICE, {"Join": join})
        server.add_generic_rpc_handlers((streams, await health_handler("", SERVICE)))
        return server

    async def remove(self, site: str, text: str) -> None:
        """End the stream of ``site``, if it has one."""
        if session := self.sessions.get(site):
            await session.end("removed", text)

    async def _join(self, _requests: Any, stream: Any) -> None:
        """Serve one stream: what the service's only method does."""
        gate, servers = self._gate, self._servers
        assert gate is not None  # noqa: S101 - the server starts with its gate
        assert servers is not None  # noqa: S101 - the same
        name = stream.peer().removeprefix(UNIX)
        found = gate.peer(name)
        if found is None:  # closed by the gate meanwhile
            return
        who, certificate = found
        try:
            first = await stream.read()
            if not isinstance(first, pb.FromSite):  # it hung up
                return
            admitted = admit(first, who, certificate, self._members)
            who = f"{admitted.caller.role} {admitted.caller.site} at {who}"
            gate.admit(name)
            session = Session(
                stream,
                admitted,
                calls=self._calls,
                controls=self._controls,
                handlers=self._handlers,
                limits=self._limits,
                intake=self._intake,
            )
            with servers.in_use():
                if admitted.caller.role == "agent":
                    await self._serve_agent(session)
                else:
                    await self._serve_visitor(session)
        except EnvelopeError as error:
            self._turned_away.note(error.reason, who, str(error))
            await _refuse(stream, error.reason, str(error))
        finally:
            gate.dismiss(name)

    async def _serve_agent(self, session: Session) -> None:
        site = session.site
        async with self._entrances.setdefault(site, asyncio.Lock()):
            await self._make_room_for(session)
            await session.write(_welcome(session.admitted))
            self.sessions[site] = session
            # No await in between: a call either finds the session, or is found here.
            for call in self._calls.owed_by(site):
                session.send(call)
        self._note_arrival(session)
        try:
            await session.serve()
        finally:
            if self.sessions.get(site) is session:
                del self.sessions[site]
            METRICS.connected.set(len(self.sessions))
            if (also := self._comings.take(f"{site} left")) is not None:
                _LOG.info(
                    "site %s hung up%s", site, also, extra={"event": "site_left", "site": site}
                )

    async def _make_room_for(self, session: Session) -> None:
        """End the stream that the site has, unless another agent lives at its other end."""
        site = session.site
        first = self.sessions.get(site)
        if first is None:
            return
        again = first.admitted.process == session.admitted.process
        if not again and await first.alive():
            raise EnvelopeError(
                "second_agent",
                f"site {site} has an agent already, from {first.admitted.caller.address}; "
                "a site has one at a time: stop one of the two",
            )
        with suppress(TimeoutError):
            await first.end("removed", "the site connected again")

    async def _serve_visitor(self, session: Session) -> None:
        if self._visitors >= self._limits.visitors:
            raise EnvelopeError(
                "too_many_visitors", f"{self._visitors} visitors are being served; try again"
            )
        self._visitors += 1
        try:
            async with asyncio.timeout(self._limits.visit_seconds):
                await session.write(_welcome(session.admitted))
                await session.serve()
        except TimeoutError:
            _LOG.info("a visit of %s took too long and was ended", session.site)
        finally:
            self._visitors -= 1

    def _note_arrival(self, session: Session) -> None:
        site, caller = session.site, session.admitted.caller
        METRICS.connections.labels(site).inc()
        if site in self._seen:
            METRICS.reconnections.labels(site).inc()
        self._seen.add(site)
        METRICS.connected.set(len(self.sessions))
        if (also := self._comings.take(f"{site} came")) is None:
            return
        _LOG.info(
            "site %s connected from %s, program %s%s",
            site,
            caller.address,
            session.admitted.program,
            also,
            extra={"event": "site_connected", "site": site, "peer": caller.address},
        )


async def _refuse(stream: Any, reason: RefusalReason, text: str) -> None:
    """Tell the peer why; one that does not read is not waited for."""
    refusal = pb.FromCoordinator(refusal=pb.Refusal(reason=reason, text=text))
    with suppress(Exception):
        await asyncio.wait_for(stream.write(refusal.SerializeToString()), _REFUSAL_SECONDS)


def _welcome(admitted: Admitted) -> pb.FromCoordinator:
    return pb.FromCoordinator(
        welcome=pb.Welcome(
            envelope=admitted.envelope, messages=admitted.messages, program=__version__
        )
    )


def _parsed(content: bytes) -> pb.FromSite:
    """Read a message; what cannot be read is an empty one, which has no place anywhere."""
    try:
        return pb.FromSite.FromString(content)
    except DecodeError:
        return pb.FromSite()


def _options(limits: Limits, members: int) -> list[tuple[str, int]]:
    silence = int(limits.silence_seconds * 1000)
    return [
        ("grpc.max_receive_message_length", max(limits.chunk_bytes, limits.control_bytes) + SLACK),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_concurrent_streams", _STREAMS),
        ("grpc.max_metadata_size", _METADATA_BYTES),
        ("grpc.keepalive_time_ms", silence),
        ("grpc.keepalive_timeout_ms", silence),
        ("grpc.http2.min_ping_interval_without_data_ms", silence // 4),
        # Windows of a size of ours: gRPC's own guess grows with every peer that is not read.
        ("grpc.http2.lookahead_bytes", limits.window(members)),
        ("grpc.http2.bdp_probe", 0),
    ]

"""gRPC's server behind the gate, watched and replaced: a peer can end its accepting for good.

grpcio's asynchronous server accepts no further call, for ever and without a word, once a peer asks
for a method whose name is no UTF-8 (seen in 1.85). Streams that are open live on. So it is asked
for its health every second, and when it fails another one takes its place for the calls to come.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import grpc  # type: ignore[import-untyped]
from grpc_health.v1 import health_pb2, health_pb2_grpc  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from fed_audience.federation.transports.grpc.gate import Gate

UNIX: Final = "unix:"
_LOG: Final = logging.getLogger(__name__)
_EVERY: Final = 1.0
_ANSWER_SECONDS: Final = 5.0


@dataclass(slots=True)
class _Served:
    server: Any
    streams: int = 0


class Servers:
    """The server that takes new calls, and earlier ones whose streams still live.

    ``made`` makes one that is not started yet.
    """

    def __init__(self, folder: Path, made: Callable[[], Awaitable[Any]], gate: Gate) -> None:
        self._folder = folder
        self._made = made
        self._gate = gate
        self._count = 0
        self._current: _Served | None = None
        self._earlier: list[_Served] = []
        self._watching: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the first server and watch it."""
        await self._replace()
        self._watching = asyncio.ensure_future(self._watch())

    async def stop(self) -> None:
        """Stop all of them."""
        if self._watching is not None:
            self._watching.cancel()
        for one in (*self._earlier, self._current):
            if one is not None:
                await _stopped(one)

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Count a stream of the current server while it lives."""
        serving = self._current
        assert serving is not None  # noqa: S101 - a stream comes from a server
        serving.streams += 1
        try:
            yield
        finally:
            serving.streams -= 1

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_EVERY)
            # Asked twice: a machine that slept misses one deadline without a fault.
            if not await self._healthy() and not await self._healthy():
                _LOG.error(
                    "gRPC stopped accepting and was started anew; here without a hello were: %s",
                    ", ".join(self._gate.strangers()) or "none",
                    extra={"event": "server_replaced"},
                )
                await self._replace()
                self._gate.dismiss_strangers()
            for one in [one for one in self._earlier if not one.streams]:
                self._earlier.remove(one)
                await _stopped(one)

    async def _replace(self) -> None:
        if self._current is not None:
            self._earlier.append(self._current)
        self._count += 1
        inner = self._folder / f"grpc{self._count}"
        server = await self._made()
        server.add_insecure_port(f"{UNIX}{inner}")
        await server.start()
        self._current = _Served(server)
        self._gate.lead_to(inner)

    async def _healthy(self) -> bool:
        address = f"{UNIX}{self._folder / f'grpc{self._count}'}"
        # A channel of its own: what is asked is whether another one would be served.
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
        async with grpc.aio.insecure_channel(address, options=options) as channel:
            ask = health_pb2_grpc.HealthStub(channel).Check
            try:
                await ask(health_pb2.HealthCheckRequest(), timeout=_ANSWER_SECONDS)
            except grpc.RpcError:
                return False
        return True


async def _stopped(one: _Served) -> None:
    # One whose accepting has broken says so once more here.
    with contextlib.suppress(Exception):
        await one.server.stop(grace=0)

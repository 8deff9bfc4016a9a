"""A peer that breaks gRPC's accepting must not reach the memory of the coordinator."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from tempfile import TemporaryDirectory

from grpc._cython import cygrpc  # type: ignore[import-untyped]

from fed_audience.federation.transports.grpc.calls import Calls
from fed_audience.federation.transports.grpc.controls import Controls
from fed_audience.federation.transports.grpc.intake import Intake
from fed_audience.federation.transports.grpc.listener import Listener
from fed_audience.federation.transports.grpc.protocol import Limits
from fed_audience.federation.transports.grpc.turned_away import TurnedAway
from tests.federation.grpc import fuzz_port

BREAKS = (
    fuzz_port.PREFACE
    + fuzz_port.frame(4, 0, 0, b"")
    + fuzz_port.frame(1, 4, 1, fuzz_port.headers(b"/no\x9autf-8"))
)
HEAD_OF_A_COLLECTED_OBJECT = 16
HEAD_OF_BYTES = 33
PAINT = b"\xaa" * (cygrpc.RPCState.__basicsize__ + HEAD_OF_A_COLLECTED_OBJECT - HEAD_OF_BYTES)
"""As long as what gRPC keeps of a request: it takes the place of one that was freed."""


async def painted_over(folder: Path) -> int:
    """Break a server's accepting; count the bytes objects that somebody else changed meanwhile."""
    intake = Intake(1)
    listener = Listener({}, Controls(1), Calls(1, intake), Limits(), TurnedAway(), intake)
    server = await listener._made()
    server.add_insecure_port(f"unix:{folder}/socket")
    await server.start()
    painted: list[bytes] = []
    try:
        with socket.socket(socket.AF_UNIX) as peer:
            peer.connect(f"{folder}/socket")
            peer.sendall(BREAKS)
            async with asyncio.timeout(60):
                # It stops once its accepting has broken; what waits is failed from then on.
                while server._server.is_running():
                    painted += [bytes(bytearray(PAINT)) for _ in range(3)]
                    await asyncio.sleep(0)
            await asyncio.sleep(0.05)
    finally:
        await asyncio.gather(server.stop(grace=0), return_exceptions=True)
    return sum(one != PAINT for one in painted)


def test_a_peer_that_breaks_the_accepting_does_not_write_into_freed_memory() -> None:
    for _ in range(5):
        with TemporaryDirectory() as folder:
            assert asyncio.run(painted_over(Path(folder))) == 0

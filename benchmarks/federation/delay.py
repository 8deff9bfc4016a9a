"""A proxy that holds every byte for a while, as a long link does: python -m ... ORDER."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import selectors
import socket
import sys
from typing import Any, Final

_PIECE: Final = 2**16
_FIRST: Final = -15
"""Niceness: a link needs no processor, so this process waits for none where it may choose."""


class Delay:
    """Forwards connections to ``target``; each byte arrives ``seconds`` after it was sent."""

    def __init__(self, target: tuple[str, int], seconds: float) -> None:
        self._target = target
        self._seconds = seconds

    async def serve(self, port: int) -> None:
        """Listen on ``port`` of the loopback for ever."""
        server = await asyncio.start_server(self._connected, "127.0.0.1", port, limit=_PIECE)
        async with server:
            await server.serve_forever()

    async def _connected(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        far, on = await asyncio.open_connection(*self._target, limit=_PIECE)
        for writer in (back, on):
            end = writer.get_extra_info("socket")
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.gather(self._carry(near, on), self._carry(far, back))

    async def _carry(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        """Read at once and write later: what is under way is as much as the link is long."""
        loop = asyncio.get_running_loop()
        try:
            while piece := await source.read(_PIECE):
                loop.call_later(self._seconds, target.write, piece)
        except ConnectionError:
            pass
        loop.call_later(self._seconds, target.close)


def main(order: dict[str, Any]) -> None:
    """Run one proxy until this process is killed.

    epoll counts in whole milliseconds, select(2) in microseconds.
    """
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, _FIRST)
    proxy = Delay((order["host"], order["to"]), order["seconds"])
    loop = asyncio.SelectorEventLoop(selectors.SelectSelector())
    loop.run_until_complete(proxy.serve(order["port"]))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))

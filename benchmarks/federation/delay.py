"""A proxy that holds every byte for a while, as a long link does: python -m ... ORDER."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import selectors
import socket
import sys
from collections import Counter
from pathlib import Path
from typing import Any, Final

_PIECE: Final = 2**16
_FIRST: Final = -15
"""Niceness: a link needs no processor, so this process waits for none where it may choose."""

LATE_UNIT: Final = 1e-5
"""Seconds that lateness is counted in."""

_EVERY: Final = 0.5


class Delay:
    """Forwards connections to ``target``; each byte arrives ``seconds`` after it was sent.

    ``late``: by how many hundredths of a millisecond pieces missed that, and how many did.
    """

    def __init__(self, target: tuple[str, int], seconds: float) -> None:
        self._target = target
        self._seconds = seconds
        self.late: Counter[int] = Counter()

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

        def write(due: float, piece: bytes) -> None:
            target.write(piece)
            self.late[round((loop.time() - due) / LATE_UNIT)] += 1

        try:
            while piece := await source.read(_PIECE):
                due = loop.time() + self._seconds
                loop.call_at(due, write, due, piece)
        except ConnectionError:
            pass
        loop.call_later(self._seconds, target.close)


async def _run(proxy: Delay, order: dict[str, Any]) -> None:
    """Serve, and keep in the file ``told`` by how much pieces were late."""
    serving = asyncio.ensure_future(proxy.serve(order["port"]))
    told = Path(order["told"])
    while not serving.done():
        await asyncio.wait([serving], timeout=_EVERY)
        unfinished = told.with_suffix(".unfinished")
        unfinished.write_text(json.dumps(proxy.late), encoding="ascii")
        unfinished.replace(told)
    await serving


def main(order: dict[str, Any]) -> None:
    """Run one proxy until this process is killed.

    epoll counts in whole milliseconds, select(2) in microseconds.
    """
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, _FIRST)
    proxy = Delay((order["host"], order["to"]), order["seconds"])
    loop = asyncio.SelectorEventLoop(selectors.SelectSelector())
    loop.run_until_complete(_run(proxy, order))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))

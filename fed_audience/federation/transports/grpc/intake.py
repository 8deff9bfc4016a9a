"""Room for replies that have come and are not summed yet: what 500 sites send at once is bounded.

A level of 200 features is 26 MB a site. Taken as they come, the replies of 500 sites would be 13 GB
before the first one is added. So a long reply is read on when there is room for all of it; until
then HTTP/2's flow control keeps the rest at its site.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque


class Intake:
    """Bytes of replies that are being read or wait to be summed: about ``room``, first come first.

    A single reply that is longer than the room is let in when nothing else is there.
    """

    def __init__(self, room: int) -> None:
        self._room = room
        self._held = 0
        self._lock = threading.Lock()
        self._queue: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def held(self) -> int:
        """Bytes that are in."""
        return self._held

    @property
    def awaited(self) -> bool:
        """Whether somebody waits for room."""
        return bool(self._queue)

    def take(self, size: int) -> None:
        """Count a reply that is here already, whether there is room or not."""
        with self._lock:
            self._held += size

    async def enter(self, size: int) -> None:
        """Wait for room for ``size`` bytes, and take it. In the transport's event loop alone."""
        with self._lock:
            if not self._queue and self._fits(size):
                self._held += size
                return
            place = asyncio.get_running_loop().create_future()
            self._queue.append((size, place))
        try:
            await place
        except asyncio.CancelledError:
            if place.cancelled():
                self._admit()
            else:  # it had just been let in
                self.leave(size)
            raise

    def leave(self, size: int) -> None:
        """Give back the room of a reply, from any thread."""
        with self._lock:
            self._held -= size
            if self._queue:
                loop = self._queue[0][1].get_loop()
                with contextlib.suppress(RuntimeError):  # closed: nobody waits any more
                    loop.call_soon_threadsafe(self._admit)

    def _fits(self, size: int) -> bool:
        return self._held == 0 or self._held + size <= self._room

    def _admit(self) -> None:
        with self._lock:
            while self._queue:
                size, place = self._queue[0]
                if not place.done():  # else it hung up while it waited
                    if not self._fits(size):
                        return
                    self._held += size
                    place.set_result(None)
                self._queue.popleft()

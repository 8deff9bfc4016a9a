"""One connection through the gate: TLS outside, a Unix socket inside, bytes both ways."""

from __future__ import annotations

import contextlib
import selectors
import socket
import ssl
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fed_audience.federation.certificates import CertificateFacts

_READ: Final = selectors.EVENT_READ
_WRITE: Final = selectors.EVENT_WRITE
_RECORD: Final = 2**14
"""Most bytes in a record of TLS."""

BUFFER_BYTES: Final = 2**18
"""What a gate moves at a time, in a buffer that its connections share: it has one thread."""

_TURNS: Final = 16
"""Buffers that one connection may move before the others have their turn."""


Ways = tuple[bool, bool]
"""Whether bytes can move inwards, and outwards."""

BOTH: Final[Ways] = (True, True)


class Ended(Exception):  # noqa: N818 - the peer hung up, which is no fault
    """One end was closed."""


class Connection:
    """State of one connection. At most one buffer waits in each direction; then reading stops.

    ``deadline``: on the clock of ``time.monotonic``, for handshake, hello or farewell.
    ``closing``: nothing is carried any more. ``dismissed``: its end has been explained.
    ``buffer``: its gate's own; nothing stays in it.
    """

    def __init__(
        self, name: str, peer: str, tls: ssl.SSLSocket, deadline: float, buffer: memoryview
    ) -> None:
        self.name = name
        self.peer = peer
        self.tls = tls
        self.deadline = deadline
        self._buffer = buffer
        self.inner: socket.socket | None = None
        self.facts: CertificateFacts | None = None
        self.closing = False
        self.dismissed = False
        self.watched: dict[socket.socket, int] = {}
        self._inwards = memoryview(b"")
        self._outwards = memoryview(b"")
        self._tls_writes = False

    @property
    def unexplained(self) -> bool:
        """Whether it has a certificate, and nothing was said of it yet."""
        return self.facts is not None and not self.dismissed

    def described(self) -> str:
        """Return address and subject, for a log."""
        return f"{self.peer} ({self.facts.subject if self.facts else 'no certificate'})"

    def wanted(self) -> Iterator[tuple[socket.socket, int]]:
        """Yield each end and the events that let this connection go on."""
        if self.closing or self.inner is None:
            yield self.tls, _WRITE if self._tls_writes else _READ
            return
        outer = (0 if self._inwards else _READ) | (
            _WRITE if self._outwards or self._tls_writes else 0
        )
        yield self.tls, outer
        inner = (0 if self._outwards else _READ) | (_WRITE if self._inwards else 0)
        yield self.inner, inner

    def shake_hands(self) -> bool:
        """Go on with the handshake; True when it is done. Raises ssl.SSLError, OSError."""
        self._tls_writes = False
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLWantWriteError:
            self._tls_writes = True
            return False
        return True

    def stirred(self, end: Any, ready: int) -> Ways:
        """Return the ways that the events ``ready`` of ``end`` open."""
        if self._tls_writes:
            return BOTH
        reads, writes = bool(ready & _READ), bool(ready & _WRITE)
        return (reads, writes) if end is self.tls else (writes, reads)

    def pump(self, ways: Ways = BOTH) -> bool:
        """Move what can be moved; True when there is more at once. Raises Ended, OSError."""
        self._tls_writes = False
        inwards, outwards = ways
        if outwards:
            self._pump_outwards()
        return inwards and self._pump_inwards()

    def _pump_inwards(self) -> bool:
        """TLS to the server behind. TLS may hold bytes that no event announces: read it dry."""
        assert self.inner is not None  # noqa: S101 - pumps run once the inner end is open
        for _ in range(_TURNS):
            if self._inwards:
                self._inwards = _sent(self.inner, self._inwards)
                if self._inwards:
                    return False
            filled, dry = self._filled()
            if filled:
                rest = _sent(self.inner, self._buffer[:filled])
                self._inwards = memoryview(bytes(rest))
            if self._inwards or dry:
                return False
        return True

    def _filled(self) -> tuple[int, bool]:
        """Read TLS into the buffer; return the bytes, and whether nothing more is there."""
        filled = 0
        try:
            while filled <= len(self._buffer) - _RECORD:
                count = self.tls.recv_into(self._buffer[filled:])
                if count == 0:
                    if filled:
                        return filled, True
                    raise Ended
                filled += count
                # Less than a full record and none decrypted: what is not there yet has its event.
                if count < _RECORD and not self.tls.pending():
                    return filled, True
        except ssl.SSLWantReadError:
            return filled, True
        except ssl.SSLWantWriteError:
            self._tls_writes = True
            return filled, True
        return filled, False

    def _pump_outwards(self) -> None:
        """Carry from the server behind to TLS."""
        assert self.inner is not None  # noqa: S101 - the same
        for _ in range(_TURNS):
            if self._outwards:
                self._outwards = self._encrypted(self._outwards)
                if self._outwards:
                    return
            try:
                count = self.inner.recv_into(self._buffer)
            except BlockingIOError:
                return
            if count == 0:
                raise Ended
            rest = self._encrypted(self._buffer[:count])
            self._outwards = memoryview(bytes(rest))
            if count < len(self._buffer):
                return

    def _encrypted(self, view: memoryview) -> memoryview:
        """Send ``view``; return what TLS would not take yet."""
        try:
            while view:
                view = view[self.tls.send(view) :]
        except ssl.SSLWantWriteError:
            pass
        except ssl.SSLWantReadError:
            # Nothing of TLS 1.3 makes a writer wait to read; if it does, the next event goes on.
            pass
        return view

    def refuse(self) -> None:
        """Send no more; wait for the peer to hang up, so that it reads the alert before that."""
        self.closing = self.dismissed = True
        self._tls_writes = False
        with contextlib.suppress(OSError):
            self.tls.shutdown(socket.SHUT_WR)

    def drain(self) -> None:
        """Forget what still comes. Raises Ended when the peer has hung up."""
        try:
            count = self.tls.recv_into(self._buffer)
        except BlockingIOError:
            return
        if count == 0:
            raise Ended

    def close(self) -> None:
        """Close both ends."""
        self.tls.close()
        if self.inner is not None:
            self.inner.close()


def _sent(end: socket.socket, view: memoryview) -> memoryview:
    """Send ``view``; return the rest that ``end`` would not take yet."""
    try:
        while view:
            view = view[end.send(view) :]
    except BlockingIOError:
        pass
    return view

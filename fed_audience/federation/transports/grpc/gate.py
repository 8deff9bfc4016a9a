"""The open port: TLS is settled here before a byte reaches gRPC, which listens behind it.

gRPC names no reason when it turns a certificate away, offers TLS 1.2 and waits minutes for a
handshake. So the port is ours: one thread shakes hands within a deadline, knows whose certificate
it saw, and carries the bytes to and from a Unix socket that only this process's user can open.
"""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import socket
import ssl
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from cryptography import x509

from fed_audience.errors import ResourceError
from fed_audience.federation.certificates import facts_of
from fed_audience.federation.transports.grpc.gate_connection import (
    BOTH,
    BUFFER_BYTES,
    Connection,
    Ended,
)

if TYPE_CHECKING:
    from pathlib import Path

    from fed_audience.federation.certificates import CertificateFacts
    from fed_audience.federation.transports.grpc.gate_connection import Ways
    from fed_audience.federation.transports.grpc.protocol import Limits
    from fed_audience.federation.transports.grpc.tls import ServerContext
    from fed_audience.federation.transports.grpc.turned_away import TurnedAway

_TICK: Final = 0.25
_LINGER: Final = 1.0
"""Seconds for a peer to read why it was refused, before the connection is reset."""

_BACKLOG: Final = 512
_REMEMBERED: Final = 5
_FULL: Final = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
"""Errors of a machine that has no room for another connection just then."""


class Gate:
    """Listens on ``address`` and hands whoever has a valid certificate to the server behind.

    ``folder``: its user's alone; the inner ends of connections are named in it.
    Raises ResourceError when the port cannot be had.
    """

    def __init__(
        self,
        address: tuple[str, int],
        tls: ServerContext,
        folder: Path,
        limits: Limits,
        turned_away: TurnedAway,
    ) -> None:
        self._tls = tls
        self._folder = folder
        self._inner = folder
        self._limits = limits
        self._turned_away = turned_away
        self._listener = _listening(address)
        self._listener.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._wake, self._woken = socket.socketpair()
        self._wake.setblocking(False)
        self._woken.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._buffer = memoryview(bytearray(BUFFER_BYTES))
        self._connections: dict[str, Connection] = {}
        self._strangers: dict[str, Connection] = {}
        self._orders: deque[tuple[str, bool]] = deque()
        self._unfinished: deque[Connection] = deque()
        self._gone: deque[str] = deque(maxlen=_REMEMBERED)
        self._count = 0
        self._accepting = True
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="fed-audience gate", daemon=True)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that are listened on."""
        found = self._listener.getsockname()
        return str(found[0]), int(found[1])

    def lead_to(self, inner: Path) -> None:
        """Hand peers to the Unix socket ``inner`` from here on."""
        self._inner = inner

    def start(self) -> None:
        """Begin to accept; ``lead_to`` comes first."""
        self._thread.start()

    def stop(self) -> None:
        """Close the port and every connection."""
        self._stopping = True
        self._notify()
        if self._thread.is_alive():
            self._thread.join()
        else:
            self._listener.close()

    def peer(self, name: str) -> tuple[str, CertificateFacts] | None:
        """Address and certificate of the peer whose inner socket is called ``name``."""
        connection = self._connections.get(name)
        if connection is None or connection.facts is None:
            return None
        return connection.peer, connection.facts

    def admit(self, name: str) -> None:
        """Lift the deadline, from any thread: the peer has said who it is."""
        self._order(name, admit=True)

    def dismiss(self, name: str) -> None:
        """Close the connection of ``name`` soon, from any thread: its last bytes may leave."""
        self._order(name, admit=False)

    def strangers(self) -> list[str]:
        """Return addresses and subjects of peers that have a certificate and said nothing.

        Those that are there, and the last few that have left.
        """
        there = [one.described() for one in list(self._strangers.values()) if one.unexplained]
        return [*there, *self._gone]

    def dismiss_strangers(self) -> None:
        """Close the connections of all that have not said who they are: they may come anew."""
        for name in list(self._strangers):
            self.dismiss(name)

    def _order(self, name: str, *, admit: bool) -> None:
        self._orders.append((name, admit))
        self._notify()

    def _notify(self) -> None:
        with contextlib.suppress(OSError):  # full: it will wake; closed: it has ended
            self._wake.send(b"\0")

    def _run(self) -> None:
        due = time.monotonic() + _TICK
        while not self._stopping:
            patience = 0.0 if self._unfinished else max(0.0, due - time.monotonic())
            for key, ready in self._selector.select(patience):
                if key.fileobj is self._listener:
                    self._accept()
                elif key.fileobj is self._woken:
                    self._woken.recv(4096)
                else:
                    self._serve(key.data, key.data.stirred(key.fileobj, ready))
            for _ in range(len(self._unfinished)):
                self._serve(self._unfinished.popleft())
            self._obey()
            if time.monotonic() >= due:
                self._close_late()
                self._accept_again()
                due = time.monotonic() + _TICK
        for connection in list(self._connections.values()):
            self._end(connection)
        self._selector.close()
        for end in (self._listener, self._wake, self._woken):
            end.close()

    def _obey(self) -> None:
        while self._orders:
            name, admit = self._orders.popleft()
            if admit:
                self._strangers.pop(name, None)
            elif found := self._connections.get(name):
                found.dismissed = True
                self._until(found, _LINGER)

    def _accept_again(self) -> None:
        if not self._accepting:
            self._selector.register(self._listener, selectors.EVENT_READ)
            self._accepting = True

    def _accept(self) -> None:
        try:
            plain, address = self._listener.accept()
        except OSError as error:
            if error.errno in _FULL:
                # The port stays readable: asked again at once, it would keep a core busy.
                self._selector.unregister(self._listener)
                self._accepting = False
            return
        if len(self._strangers) >= self._limits.strangers:
            # Who hurries is through in milliseconds: the oldest is the slowest.
            oldest = next(iter(self._strangers.values()))
            if not oldest.dismissed:
                self._turned_away.note("crowd", oldest.peer, "too many say not who they are")
            self._end(oldest)
        self._count += 1
        name = f"{self._folder}/{self._count}"
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            plain.setblocking(False)
            tls = self._tls.current().wrap_socket(
                plain, server_side=True, do_handshake_on_connect=False
            )
        except OSError:  # the peer has hung up already
            plain.close()
            return
        peer = f"{address[0]}:{address[1]}"
        deadline = time.monotonic() + self._limits.handshake_seconds
        connection = Connection(name, peer, tls, deadline, self._buffer)
        self._connections[name] = self._strangers[name] = connection
        self._watch(connection)
        self._serve(connection)

    def _serve(self, connection: Connection, ways: Ways = BOTH) -> None:
        """Let one connection go on as far as it can. Whatever it brings ends no other."""
        if connection.name not in self._connections:
            return
        try:
            self._advance(connection, ways)
        except Exception as fault:  # noqa: BLE001 - the port must outlive any peer
            self._turned_away.note("fault", connection.peer, "it met an error of ours", fault)
            self._end(connection)

    def _advance(self, connection: Connection, ways: Ways) -> None:
        try:
            if connection.closing:
                connection.drain()
            elif connection.inner is None:
                if connection.shake_hands():
                    self._open(connection)
            elif connection.pump(ways):
                self._unfinished.append(connection)
            self._watch(connection)
        except (Ended, ssl.SSLEOFError, ssl.SSLZeroReturnError):
            self._end(connection)
        except ssl.SSLError as error:
            self._refuse(connection, *_reason(error))
        except OSError:
            self._end(connection)

    def _open(self, connection: Connection) -> None:
        """Connect a peer whose certificate is good to the server behind."""
        der = connection.tls.getpeercert(binary_form=True)
        if der is None or connection.tls.selected_alpn_protocol() not in {"h2", None}:
            raise Ended
        connection.facts = facts_of(x509.load_der_x509_certificate(der))
        connection.deadline = time.monotonic() + self._limits.hello_seconds
        inner = socket.socket(socket.AF_UNIX)
        try:
            # The server knows the peer by the name of this end.
            inner.bind(connection.name)
            os.unlink(connection.name)  # noqa: PTH108 - a string that is no file any more
            inner.settimeout(1.0)
            inner.connect(str(self._inner))
            inner.setblocking(False)
        except OSError:
            inner.close()
            raise
        connection.inner = inner
        if connection.pump():
            self._unfinished.append(connection)

    def _watch(self, connection: Connection) -> None:
        """Ask the system for the events that ``connection`` can use."""
        for end, wanted in connection.wanted():
            watched = connection.watched.get(end, 0)
            if wanted == watched:
                continue
            if not watched:
                self._selector.register(end, wanted, connection)
            elif not wanted:
                self._selector.unregister(end)
            else:
                self._selector.modify(end, wanted, connection)
            connection.watched[end] = wanted

    def _refuse(self, connection: Connection, reason: str, text: str) -> None:
        """Log why; leave a peer whose handshake failed a moment to read the alert."""
        self._turned_away.note(reason, connection.peer, text)
        if connection.inner is not None:
            self._end(connection)
            return
        connection.refuse()
        self._until(connection, _LINGER)
        self._watch(connection)

    def _until(self, connection: Connection, seconds: float) -> None:
        connection.deadline = time.monotonic() + seconds
        self._strangers[connection.name] = connection

    def _end(self, connection: Connection) -> None:
        self._connections.pop(connection.name, None)
        if self._strangers.pop(connection.name, None) and connection.unexplained:
            self._gone.append(connection.described())
        for end, watched in connection.watched.items():
            if watched:
                self._selector.unregister(end)
        connection.watched.clear()
        connection.close()

    def _close_late(self) -> None:
        now = time.monotonic()
        for connection in list(self._strangers.values()):
            if now < connection.deadline:
                continue
            if not connection.dismissed:
                slow = "handshake" if connection.inner is None else "hello"
                self._turned_away.note(f"no_{slow}", connection.peer, f"no {slow} in time")
            self._end(connection)


def _listening(address: tuple[str, int]) -> socket.socket:
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    try:
        return socket.create_server(address, family=family, backlog=_BACKLOG)
    except OSError as error:
        raise ResourceError(
            "the coordinator cannot listen there",
            value=error.strerror,
            looked=f"{address[0]}:{address[1]}",
            fix="choose a free port and an address of this machine",
        ) from None


def _reason(error: ssl.SSLError) -> tuple[str, str]:
    """Word and sentence for a handshake that failed."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return "certificate", f"its certificate is refused: {error.verify_message}"
    reason = error.reason or "no TLS"
    if reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE":
        return "certificate", "it sent no certificate"
    if "ALERT" in reason:
        return "certificate", f"it refuses our certificate: {reason.lower().replace('_', ' ')}"
    if reason in {"UNSUPPORTED_PROTOCOL", "VERSION_TOO_LOW"}:
        return "tls_version", "it does not speak TLS 1.3"
    return "no_tls", f"not a TLS handshake: {reason.lower().replace('_', ' ')}"

"""A webhook's receiver on this machine, over real HTTP, for demonstrations and tests."""

from __future__ import annotations

import errno
import socket
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

from fed_audience.errors import ResourceError
from fed_audience.testing.inbox import Answer, Membership, WebhookInbox

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from pydantic import SecretStr

HOST = "127.0.0.1"
_LARGEST_BODY = 64 * 1024 * 1024


class Cut(Enum):
    """A connection that ends without an answer, before or after the delivery was applied."""

    BEFORE = "before"
    AFTER = "after"


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it came in, and the status it was answered with (0: cut)."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    status: int

    @property
    def key(self) -> str:
        """Its idempotency key."""
        return self.headers.get("Idempotency-Key", "")


class WebhookReceiver:
    """Listens on loopback in a thread of its own; use it in a ``with`` block.

    Keeps every request received and the present membership. ``answer_next`` scripts what the
    next requests meet instead of an honest answer. ``reject`` gives the reason for which an
    event is refused, or None. Raises ResourceError when ``port`` (0: any free one) is taken.
    """

    def __init__(
        self,
        secret: SecretStr,
        *,
        port: int = 0,
        clock: Callable[[], float] = time.time,
        reject: Callable[[Mapping[str, Any]], str | None] | None = None,
    ) -> None:
        self.requests: list[Received] = []
        self.faults: list[BaseException] = []
        self.inbox = WebhookInbox(secret.get_secret_value().encode(), clock=clock, reject=reject)
        self._script: deque[Answer | Cut] = deque()
        self._lock = threading.Lock()
        try:
            self._server = _Server((HOST, port), self)
        except OSError as error:
            if error.errno not in {errno.EADDRINUSE, errno.EACCES}:
                raise
            raise ResourceError(
                "the receiver's port cannot be used",
                value=port,
                looked=f"{HOST}: {error.strerror}",
                fix="choose another port, or 0 for any free one",
            ) from error
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        if error is None and self.faults:
            raise self.faults[0]

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """Where it takes deliveries."""
        return f"http://{HOST}:{self.port}/audience"

    @property
    def bodies(self) -> list[bytes]:
        """Every body that arrived, refused or not, in order."""
        with self._lock:
            return [request.body for request in self.requests]

    def members(
        self, audience: str | None = None, site: str | None = None
    ) -> dict[str, Membership]:
        """Return who is in the audience by keyed id."""
        with self._lock:
            return self.inbox.members(audience, site)

    def answer_next(self, *answers: Answer | Cut) -> None:
        """Give the next requests these answers, in order; they are not applied, but ``AFTER``."""
        with self._lock:
            self._script.extend(answers)

    def take(self, path: str, headers: Mapping[str, str], body: bytes) -> Answer | None:
        """Handle one request; None cuts the connection."""
        with self._lock:
            scripted = self._script.popleft() if self._script else None
            answer: Answer | None = None
            if scripted is None or scripted is Cut.AFTER:
                answer = self.inbox.take(headers, body)
            if isinstance(scripted, Answer):
                answer = scripted
            elif scripted is not None:
                answer = None
            status = answer.status if answer else 0
            self.requests.append(Received(path, dict(headers), body, status))
            return answer


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], receiver: WebhookReceiver) -> None:
        self.receiver = receiver
        super().__init__(address, _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - given by socketserver
        """Keep a fault of the receiver for the end; a client that went away is none."""
        error = sys.exception()
        if error is not None and not isinstance(error, ConnectionError):
            self.receiver.faults.append(error)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # One packet per answer: split ones wait 40 ms for a delayed acknowledgement.
    wbufsize = -1
    disable_nagle_algorithm = True
    server: _Server

    def do_POST(self) -> None:
        """Take a delivery."""
        length = int(self.headers.get("Content-Length") or 0)
        if length > _LARGEST_BODY:
            self.close_connection = True
            self._answer(Answer(413))
            return
        body = self.rfile.read(length)
        answer = self.server.receiver.take(self.path, dict(self.headers.items()), body)
        if answer is None:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self._answer(answer)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - named by http.server
        """Write nothing: a request line may hold an identifier."""

    def _answer(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

"""A site's way to the coordinator: one TLS channel, one stream, the first messages."""

from __future__ import annotations

import secrets
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final, Self

import grpc  # type: ignore[import-untyped]

from fed_audience import __version__
from fed_audience.errors import FederationError
from fed_audience.federation.certificates import check_files, endorse
from fed_audience.federation.transports.grpc import envelope_pb2 as pb
from fed_audience.federation.transports.grpc.admission import ROLES, PeerRole
from fed_audience.federation.transports.grpc.protocol import (
    ENVELOPE,
    MESSAGES,
    METHOD,
    PASSING,
    SLACK,
    Limits,
)
from fed_audience.federation.transports.grpc.tls import diagnose

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType

    from fed_audience.federation.certificates import TlsFiles
    from fed_audience.privacy.identity import SiteIdentity

_LONGEST_TEXT: Final = 2_000
_LEAVING_SECONDS: Final = 2.0


class StreamRefused(FederationError):  # noqa: N818 - an answer of the protocol, not a fault
    """The coordinator does not let this site in. ``passing``: it may at the next attempt."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(f"the coordinator refused this site ({reason}): {text}")
        self.reason = reason
        self.passing = reason in PASSING


class Unreachable(FederationError):  # noqa: N818 - a state of the network, not a fault
    """There is no way to the coordinator just then."""


@dataclass(frozen=True, slots=True)
class Way:
    """Where the coordinator is, and as whom a site comes to it.

    ``identity``: the site's roster key, which endorses its certificate; guests need none.
    ``process``: tells a reconnection from another agent of the same site.
    """

    site: str
    address: str
    tls: TlsFiles
    identity: SiteIdentity | None
    limits: Limits
    process: bytes = field(default_factory=lambda: secrets.token_bytes(16))


class Stream:
    """An open stream. Iterate to read; ``send`` from any thread; a context manager.

    Raises Unreachable, StreamRefused, or FederationError that names a certificate's fault.
    """

    def __init__(self, way: Way, role: PeerRole) -> None:
        hello = hello_of(way, role)
        self._way = way
        self._out: SimpleQueue[Iterable[pb.FromSite] | None] = SimpleQueue()
        self._channel = grpc.secure_channel(
            way.address, credentials_of(way.tls), options(way.limits)
        )
        self.send(pb.FromSite(hello=hello))
        join = self._channel.stream_stream(
            METHOD,
            request_serializer=pb.FromSite.SerializeToString,
            response_deserializer=pb.FromCoordinator.FromString,
        )
        self._replies = join(self._outgoing())
        self._closed = threading.Event()

    def __enter__(self) -> Self:
        try:
            self.welcome = self._welcomed()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[pb.FromCoordinator]:
        """Yield what the coordinator sends; ends when the stream is closed at this end."""
        try:
            for message in self._replies:
                if message.WhichOneof("content") == "refusal":
                    raise _refused(message.refusal)
                yield message
        except grpc.RpcError as error:
            if self._closed.is_set():
                return
            raise Unreachable("the connection was lost", value=_told(error)) from None
        if not self._closed.is_set():
            raise Unreachable("the coordinator ended the stream")

    def send(self, message: pb.FromSite) -> None:
        """Send ``message`` after those before it."""
        self._out.put((message,))

    def send_all(self, messages: Iterable[pb.FromSite]) -> None:
        """Send ``messages``, each of them made when the one before has left."""
        self._out.put(messages)

    def finish(self) -> None:
        """Hang up when what was sent has left, two seconds at most; from any thread."""
        self._closed.set()
        self._out.put(None)
        late = threading.Timer(_LEAVING_SECONDS, self._replies.cancel)
        late.daemon = True
        late.start()

    def close(self) -> None:
        """Hang up at once, from any thread."""
        self._closed.set()
        self._out.put(None)
        self._replies.cancel()
        self._channel.close()

    def _outgoing(self) -> Iterator[pb.FromSite]:
        while (messages := self._out.get()) is not None:
            yield from messages

    def _welcomed(self) -> pb.Welcome:
        patience = self._way.limits.handshake_seconds + self._way.limits.hello_seconds
        late = threading.Timer(patience, self._replies.cancel)
        late.daemon = True
        late.start()
        try:
            first = next(self._replies)
        except StopIteration:
            raise Unreachable("the coordinator ended the stream before its first word") from None
        except grpc.RpcError as error:
            if self._closed.is_set():
                raise Unreachable("the connection was given up") from None
            self._explain()
            raise Unreachable(
                "the coordinator cannot be reached",
                value=_told(error),
                looked=self._way.address,
                fix="see that it runs, and that this machine may open connections to that port",
            ) from None
        finally:
            late.cancel()
        if first.WhichOneof("content") == "refusal":
            raise _refused(first.refusal)
        if first.WhichOneof("content") != "welcome":
            raise FederationError(
                "what answers is no coordinator of this version of fed-audience",
                looked=self._way.address,
                fix="correct the address, or update the older of the two",
            )
        found: pb.Welcome = first.welcome
        return found

    def _explain(self) -> None:
        """Find out what gRPC does not say: a fault of a certificate is raised as such."""
        with suppress(OSError):
            diagnose(self._way.address, self._way.tls, self._way.limits.handshake_seconds)


def hello_of(way: Way, role: PeerRole) -> pb.Hello:
    """Return the first message of a stream. Raises FederationError for a certificate's fault."""
    facts = check_files(way.tls, "site")
    return pb.Hello(
        site=way.site,
        role=ROLES[role],
        envelope=pb.Versions(oldest=ENVELOPE.oldest, newest=ENVELOPE.newest),
        messages=pb.Versions(oldest=MESSAGES.oldest, newest=MESSAGES.newest),
        program=__version__,
        process=way.process,
        endorsement=b"" if way.identity is None else endorse(way.identity, facts.sha256),
    )


def credentials_of(files: TlsFiles) -> Any:
    """Return what gRPC takes of the files of a certificate."""
    return grpc.ssl_channel_credentials(
        files.authority.read_bytes(), files.key.read_bytes(), files.certificate.read_bytes()
    )


def options(limits: Limits) -> list[tuple[str, int]]:
    """Return gRPC's settings of a site's channel."""
    silence = int(limits.silence_seconds * 1000)
    return [
        ("grpc.max_receive_message_length", max(limits.chunk_bytes, limits.control_bytes) + SLACK),
        ("grpc.max_send_message_length", -1),
        ("grpc.keepalive_time_ms", silence),
        ("grpc.keepalive_timeout_ms", silence),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.http2.lookahead_bytes", limits.chunk_bytes),
        # Attempts are ours to make: each reads the certificate's files anew.
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.enable_retries", 0),
    ]


def _refused(refusal: pb.Refusal) -> StreamRefused:
    text = "".join(filter(str.isprintable, refusal.text[:_LONGEST_TEXT]))
    return StreamRefused(refusal.reason, text)


def _told(error: Any) -> str:
    return f"{error.code().name}: {error.details()}"

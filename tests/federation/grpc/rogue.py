"""Peers that do not keep to the rules: bare TLS, bare gRPC, any bytes as messages."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any

import grpc  # type: ignore[import-untyped]

from fed_audience.federation.certificates import TlsFiles, check_files, endorse
from fed_audience.federation.transports.grpc import envelope_pb2 as pb
from fed_audience.federation.transports.grpc.protocol import ENVELOPE, MESSAGES, METHOD
from fed_audience.federation.transports.grpc.tls import split_address
from fed_audience.privacy.identity import SiteIdentity


def said_by_tls(
    address: str, files: TlsFiles | None, *, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
) -> str:
    """Shake hands without looking at anyone's certificate; return how it ended."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.maximum_version = version
    if files is not None:
        context.load_cert_chain(files.certificate, files.key)
    with socket.create_connection(split_address(address), timeout=5) as plain:
        try:
            with context.wrap_socket(plain) as tls:
                return f"{tls.version()}: {tls.recv(9)!r}"
        except ssl.SSLError as error:
            return error.reason or "closed"


def hello(site: str, identity: SiteIdentity, files: TlsFiles, **changes: Any) -> pb.FromSite:
    """Return what a link would say first."""
    fields: dict[str, Any] = {
        "site": site,
        "role": pb.ROLE_AGENT,
        "envelope": pb.Versions(oldest=ENVELOPE.oldest, newest=ENVELOPE.newest),
        "messages": pb.Versions(oldest=MESSAGES.oldest, newest=MESSAGES.newest),
        "program": "rogue",
        "process": b"0123456789abcdef",
        "endorsement": endorse(identity, check_files(files, "site").sha256),
    }
    return pb.FromSite(hello=pb.Hello(**(fields | changes)))


class RawStream:
    """A stream on which any bytes can be sent as messages."""

    def __init__(self, channel: Any) -> None:
        self._out: SimpleQueue[bytes | None] = SimpleQueue()
        join = channel.stream_stream(METHOD, response_deserializer=pb.FromCoordinator.FromString)
        self._replies = join(iter(self._out.get, None), timeout=20)

    def send(self, *messages: pb.FromSite | bytes) -> None:
        for message in messages:
            self._out.put(message if isinstance(message, bytes) else message.SerializeToString())

    def read(self) -> pb.FromCoordinator:
        """Return the coordinator's next message."""
        message: pb.FromCoordinator = next(self._replies)
        return message

    def refusal(self) -> str:
        """Read up to the refusal that ends the stream; return its reason."""
        for message in self._replies:
            if message.WhichOneof("content") == "refusal":
                return str(message.refusal.reason)
        return "none"

    def hang_up(self) -> None:
        self._replies.cancel()


@contextmanager
def raw_stream(
    address: str, files: TlsFiles, options: Sequence[tuple[str, int]] = ()
) -> Iterator[RawStream]:
    credentials = grpc.ssl_channel_credentials(
        files.authority.read_bytes(), files.key.read_bytes(), files.certificate.read_bytes()
    )
    local = [("grpc.use_local_subchannel_pool", 1), *options]
    with grpc.secure_channel(address, credentials, local) as channel:
        stream = RawStream(channel)
        try:
            yield stream
        finally:
            stream.hang_up()

"""One control message from whoever is not there to answer rounds: joining, asking for status."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from fed_audience.errors import FederationError
from fed_audience.federation.transports.grpc import envelope_pb2 as pb
from fed_audience.federation.transports.grpc.channel import Stream, Way
from fed_audience.federation.transports.grpc.controls import body_of, checked
from fed_audience.federation.transports.grpc.protocol import Limits

if TYPE_CHECKING:
    from fed_audience.federation.certificates import TlsFiles
    from fed_audience.federation.transports.grpc.admission import PeerRole
    from fed_audience.privacy.identity import SiteIdentity


def ask_coordinator(
    address: str,
    tls: TlsFiles,
    kind: str,
    body: bytes,
    *,
    site: str,
    identity: SiteIdentity | None = None,
    timeout: float = 30.0,
) -> bytes:
    """Send one control message over a connection of its own; return the answer.

    With ``identity`` as a site of the roster, beside its agent; without as a guest, whose name the
    coordinator takes for what it is: unproven. Raises FederationError when the coordinator cannot
    be reached, refuses, or is silent for ``timeout`` seconds.
    """
    limits = Limits()
    checked(kind, body, limits.control_bytes)
    way = Way(site, address, tls, identity, limits)
    role: PeerRole = "visitor" if identity else "guest"
    with Stream(way, role) as stream:
        late = threading.Timer(timeout, stream.close)
        late.daemon = True
        late.start()
        try:
            stream.send(pb.FromSite(control=pb.Control(id=1, kind=kind, body=body)))
            for message in stream:
                if message.WhichOneof("content") == "answer":
                    return body_of("the coordinator", kind, message.answer)
        finally:
            late.cancel()
    raise FederationError(
        f"the coordinator did not answer the message {kind}", value=f"{timeout:g} s"
    )

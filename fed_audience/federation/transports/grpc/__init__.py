"""Sites of several organisations: one stream a site over gRPC, under mutual TLS 1.3.

The coordinator:

    members = {"north": Member(roster.key_of("north")), ...}
    with GrpcTransport("0.0.0.0:7443", TlsFiles(certificate, key, authority), members) as transport:
        transport.on("status", lambda caller, body: ...)   # control messages: bytes to bytes
        transport.wait_for(manifest.sites, timeout=600)
        result = train(transport, manifest)

A site, which opens the connection and never listens:

    link = SiteLink("coordinator.example:7443", tls, identity, program.handle)
    link.on("propose", lambda body: ...)
    link.run()                                             # until link.stop()

A single message, as a site beside its agent or as a guest who is not yet in the roster:

    ask_coordinator("coordinator.example:7443", tls, "status", b"", site="north", identity=identity)
"""

import os

from fed_audience.errors import ResourceError

# What peers do wrong is ours to tell; gRPC would print it, their bytes included, without end.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

try:
    import google.protobuf  # noqa: F401 - whether it is there
    import grpc  # type: ignore[import-untyped]  # noqa: F401 - the same
    import grpc_health.v1  # type: ignore[import-untyped]  # noqa: F401 - the same
except ImportError as error:
    raise ResourceError(
        f"runs between organisations need the package {error.name}",
        looked="the installed packages",
        fix="pip install 'fed-audience[grpc]'",
    ) from error

from fed_audience.federation.certificates import TlsFiles
from fed_audience.federation.transports.grpc.admission import Caller, Member
from fed_audience.federation.transports.grpc.channel import StreamRefused, Unreachable
from fed_audience.federation.transports.grpc.link import SiteLink
from fed_audience.federation.transports.grpc.protocol import Limits
from fed_audience.federation.transports.grpc.transport import Connected, GrpcTransport
from fed_audience.federation.transports.grpc.visit import ask_coordinator

__all__ = [
    "Caller",
    "Connected",
    "GrpcTransport",
    "Limits",
    "Member",
    "SiteLink",
    "StreamRefused",
    "TlsFiles",
    "Unreachable",
    "ask_coordinator",
]

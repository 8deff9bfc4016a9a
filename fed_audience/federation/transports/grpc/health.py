"""The standard health service of gRPC, added to a server in the way that is safe."""

from __future__ import annotations

from typing import Any, Final

import grpc  # type: ignore[import-untyped]
from grpc_health.v1 import health, health_pb2  # type: ignore[import-untyped]

_NAME: Final = "grpc.health.v1.Health"


async def health_handler(*services: str) -> Any:
    """Return a handler that says of each of ``services`` that it is served.

    grpcio's own ``add_HealthServicer_to_server`` registers the methods besides. Of a registered
    method the asynchronous server has a request waiting at all times, whose memory it frees when
    its accepting breaks; gRPC's core writes to it all the same (seen in 1.85). Since a peer can
    break the accepting, it could so corrupt this process. A generic handler has none waiting.
    """
    status = health.aio.HealthServicer()
    for service in services:
        await status.set(service, health_pb2.HealthCheckResponse.SERVING)
    forms = {
        "request_deserializer": health_pb2.HealthCheckRequest.FromString,
        "response_serializer": health_pb2.HealthCheckResponse.SerializeToString,
    }
    methods = {
        "Check": grpc.unary_unary_rpc_method_handler(status.Check, **forms),
        "Watch": grpc.unary_stream_rpc_method_handler(status.Watch, **forms),
    }
    return grpc.method_handlers_generic_handler(_NAME, methods)

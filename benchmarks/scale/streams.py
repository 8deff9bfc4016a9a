"""Sites of one process as tasks of one event loop: a connection, a stream and an answer each."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import grpc  # type: ignore[import-untyped]

from fed_audience.federation.transports.grpc import envelope_pb2 as pb
from fed_audience.federation.transports.grpc.channel import (
    Way,
    credentials_of,
    hello_of,
    options,
)
from fed_audience.federation.transports.grpc.protocol import METHOD, Assembly, chunks

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    Answer = Callable[[bytes], Awaitable[bytes]]

_PART_BYTES: Final = 2**20
"""Longest part that a site sends, so that many sites of one process do not hold a long part each.
What the coordinator sends comes in parts as long as its limits let them be."""


async def serve(sites: Iterable[tuple[Way, Answer]]) -> None:
    """Answer the rounds of all ``sites`` until the coordinator hangs up on one of them.

    A site of its own process is a ``SiteLink``, which has threads and comes back when it is cut
    off; 500 of those would take more of one machine than the coordinator that is measured.
    """
    async with asyncio.TaskGroup() as group:
        for way, answer in sites:
            group.create_task(_serve(way, answer))


async def _serve(way: Way, answer: Answer) -> None:
    channel = grpc.aio.secure_channel(way.address, credentials_of(way.tls), options(way.limits))
    async with channel:
        stream = channel.stream_stream(
            METHOD,
            request_serializer=pb.FromSite.SerializeToString,
            response_deserializer=pb.FromCoordinator.FromString,
        )()
        await stream.write(pb.FromSite(hello=hello_of(way, "agent")))
        if (await stream.read()).WhichOneof("content") != "welcome":
            raise SystemExit(f"{way.site} is not welcome")
        assembly = Assembly(way.limits)
        while isinstance(message := await stream.read(), pb.FromCoordinator):
            await _take(way, stream, assembly, message, answer)


async def _take(
    way: Way, stream: Any, assembly: Assembly, message: pb.FromCoordinator, answer: Answer
) -> None:
    if message.WhichOneof("content") == "ping":
        await stream.write(pb.FromSite(pong=pb.Pong()))
        return
    body = assembly.add(message.request)
    if body is None:
        return
    call, opening = message.request.call, way.limits.opening_bytes
    for part in chunks(call, await answer(body), _PART_BYTES, opening):
        await stream.write(pb.FromSite(reply=part))

"""What both ends of a stream agree on: versions, limits, and how a body is cut into chunks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from fed_audience.federation.messages import wire
from fed_audience.federation.transports.grpc import envelope_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Iterator

METHOD: Final = "/fed_audience.federation.v1.Federation/Join"
SERVICE: Final = "fed_audience.federation.v1.Federation"

MIB: Final = 2**20
_LEAST_WINDOW: Final = 2**16
SLACK: Final = 2**16
"""Bytes of an envelope beside its content."""


@dataclass(frozen=True, slots=True)
class Versions:
    """A range of versions that a program speaks, both ends included."""

    oldest: int
    newest: int

    def common(self, other: Versions) -> int | None:
        """Return the newest version that both speak, if there is one."""
        found = min(self.newest, other.newest)
        return found if found >= max(self.oldest, other.oldest) else None

    def __str__(self) -> str:
        return f"{self.oldest} to {self.newest}"


ENVELOPE: Final = Versions(1, 1)
"""Of the envelope, see envelope.proto."""

MESSAGES: Final = Versions(wire.WIRE_VERSION, wire.WIRE_VERSION)
"""Of the rounds' messages."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one end takes from the other, and how long it waits.

    ``chunk_bytes``: a longer body travels in parts. ``body_bytes``: longest request or reply.
    ``opening_bytes``: the first part of a longer reply, which tells its length. ``intake_bytes``:
    replies that are read or wait to be summed; what is longer than its opening waits for room.
    ``window_bytes``: what all peers may have sent beyond what was read.
    ``unread``: requests that may wait for one peer to read. ``control_bytes``: longest control
    message. ``controls``: control messages of one peer that are
    handled at a time. ``handshake_seconds``: for TLS. ``hello_seconds``: from there to a peer's
    first message. ``silence_seconds``: after which a peer is asked whether it lives, and the time
    to answer that. ``stall_seconds``: for each ``chunk_bytes`` of a reply that has room, while
    others wait for room. ``visit_seconds``: longest connection of somebody who answers no rounds.
    ``strangers``: connections that have not said who they are; ``visitors``: those of visitors.
    """

    chunk_bytes: int = 4 * MIB
    body_bytes: int = wire.MAX_BODY_BYTES
    opening_bytes: int = MIB // 8
    intake_bytes: int = 128 * MIB
    window_bytes: int = 64 * MIB
    unread: int = 16
    control_bytes: int = MIB
    controls: int = 8
    handshake_seconds: float = 5.0
    hello_seconds: float = 10.0
    silence_seconds: float = 20.0
    stall_seconds: float = 60.0
    visit_seconds: float = 120.0
    strangers: int = 512
    visitors: int = 32

    def window(self, peers: int) -> int:
        """Bytes that each of ``peers`` may send before they are read: a chunk, if all fit."""
        return max(_LEAST_WINDOW, min(self.chunk_bytes, self.window_bytes // max(peers, 1)))


RefusalReason = Literal[
    "no_hello",
    "envelope_version",
    "message_version",
    "unknown_site",
    "wrong_subject",
    "wrong_key",
    "second_agent",
    "too_many_visitors",
    "bad_envelope",
    "bad_chunk",
    "too_long",
    "not_reading",
    "stalled",
    "removed",
]
"""Why a coordinator ends a stream, in a word."""

PASSING: Final[frozenset[str]] = frozenset(
    {"no_hello", "too_many_visitors", "not_reading", "stalled"}
)
"""Reasons that may be gone at the next attempt."""


class EnvelopeError(ValueError):
    """The peer broke the envelope's rules; ``reason`` is the word for it."""

    def __init__(self, reason: RefusalReason, text: str) -> None:
        super().__init__(text)
        self.reason: RefusalReason = reason


def chunks(
    call: int, body: bytes, chunk_bytes: int, opening_bytes: int | None = None
) -> Iterator[pb.Chunk]:
    """Cut ``body`` into parts of at most ``chunk_bytes``; an empty one is one empty part.

    ``opening_bytes``: the first part is no longer than that.
    """
    size = len(body)
    first = min(chunk_bytes, opening_bytes or chunk_bytes)
    if size <= first:
        yield pb.Chunk(call=call, size=size, data=body)
        return
    view = memoryview(body)
    for begin in (0, *range(first, size, chunk_bytes)):
        data = bytes(view[begin : begin + chunk_bytes if begin else first])
        yield pb.Chunk(call=call, offset=begin, size=size, data=data)


class Assembly:
    """Puts the parts of one body after another together. Holds no more than has arrived."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._call = 0
        self._size = 0
        self._held = 0
        self._parts: list[bytes] = []

    @property
    def held(self) -> int:
        """Bytes that have come of the body under way."""
        return self._held

    def add(self, chunk: pb.Chunk, *, wanted: bool = True) -> bytes | None:
        """Take the next part; return the body with its last.

        ``wanted``: False forgets the bytes and keeps the count, for an answer that comes too late.
        Raises EnvelopeError for a part that does not follow the one before, or is too long.
        """
        data = chunk.data
        self._check(chunk, len(data))
        if self._held == 0 and len(data) == chunk.size:
            return data
        if self._held == 0:
            self._call, self._size, self._parts = chunk.call, chunk.size, []
        self._held += len(data)
        if wanted:
            self._parts.append(data)
        else:
            self._parts.clear()
        if self._held < self._size:
            return None
        body, self._parts, self._held = b"".join(self._parts), [], 0
        return body

    def _check(self, chunk: pb.Chunk, length: int) -> None:
        if chunk.size > self._limits.body_bytes:
            raise EnvelopeError(
                "too_long", f"a body of {chunk.size:,} bytes, allowed: {self._limits.body_bytes:,}"
            )
        if length > self._limits.chunk_bytes:
            raise EnvelopeError(
                "too_long", f"a chunk of {length:,} bytes, allowed: {self._limits.chunk_bytes:,}"
            )
        if chunk.offset != self._held or chunk.offset + length > chunk.size:
            raise EnvelopeError("bad_chunk", "a chunk that does not follow the one before")
        if self._held and (chunk.call, chunk.size) != (self._call, self._size):
            raise EnvelopeError("bad_chunk", "a chunk of another body before the last one ended")
        if length == 0 and chunk.size:
            raise EnvelopeError("bad_chunk", "an empty chunk of a body that is not empty")

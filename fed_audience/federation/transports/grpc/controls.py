"""Control messages: a kind, some bytes, and the bytes of the answer."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from fed_audience.errors import FedAudienceError, FederationError
from fed_audience.federation.transports.grpc import envelope_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Callable

_LOG: Final = logging.getLogger(__name__)
_LONGEST_REFUSAL: Final = 2_000

FromT = TypeVar("FromT")


@dataclass(frozen=True)
class _Entry(Generic[FromT]):
    handle: Callable[[FromT, bytes], bytes]
    guests: bool


class Controls(Generic[FromT]):
    """Handlers of control messages by kind; what is not in here is refused by name."""

    def __init__(self, control_bytes: int) -> None:
        self._entries: dict[str, _Entry[FromT]] = {}
        self._longest = control_bytes

    def on(
        self, kind: str, handle: Callable[[FromT, bytes], bytes], *, guests: bool = False
    ) -> None:
        """Answer messages of ``kind`` with ``handle(sender, body)``, which may raise our errors."""
        self._entries[kind] = _Entry(handle, guests)

    def answer(self, sender: FromT, control: pb.Control, *, guest: bool) -> pb.ControlAnswer:
        """Return the answer to ``control``: that of its handler, or why there is none."""
        entry = self._entries.get(control.kind)
        if entry is None or (guest and not entry.guests):
            return _refused(control, "there is no such kind of message here")
        try:
            body = entry.handle(sender, control.body)
        except FedAudienceError as error:
            said = f"{error.what}. To mend it: {error.fix}" if error.fix else error.what
            return _refused(control, said)
        except Exception:  # noqa: BLE001 - a message must not end the program
            _LOG.exception("the handler of control message %s failed", control.kind)
            return _refused(control, "it failed; the log of the other end says why")
        if len(body) > self._longest:
            return _refused(control, f"the answer of {len(body):,} bytes is too long")
        return pb.ControlAnswer(id=control.id, body=body)


def checked(kind: str, body: bytes, control_bytes: int) -> bytes:
    """Return ``body`` if it may be sent. Raises FederationError."""
    if len(body) > control_bytes:
        raise FederationError(
            f"the control message {kind} is too long",
            value=f"{len(body):,} bytes",
            limit=f"{control_bytes:,} bytes",
            fix="send less at a time",
        )
    return body


def body_of(peer: str, kind: str, answer: pb.ControlAnswer) -> bytes:
    """Return the bytes of an answer. Raises FederationError with the peer's reason."""
    if answer.refusal:
        said = "".join(filter(str.isprintable, answer.refusal[:_LONGEST_REFUSAL]))
        raise FederationError(f"{peer} refused the message {kind}: {said}")
    return answer.body


def _refused(control: pb.Control, text: str) -> pb.ControlAnswer:
    return pb.ControlAnswer(id=control.id, refusal=text[:_LONGEST_REFUSAL])

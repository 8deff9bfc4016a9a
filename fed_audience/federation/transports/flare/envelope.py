"""Requests and answers as FLARE carries them: a kind, some bytes, or why there is no answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from nvflare.apis.fl_constant import ReturnCode
from nvflare.apis.shareable import Shareable, make_reply

TOPIC: Final = "fed_audience"
ROUND: Final = "round"
INTRODUCTION: Final = "introduction"
LONGEST_REFUSAL: Final = 2_000
_KIND: Final = "kind"
_BODY: Final = "body"
_REFUSAL: Final = "refusal"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a request: ``body``, or why there is none. ``away``: it may still come."""

    body: bytes | None
    refusal: str = ""
    away: bool = False


def request_of(kind: str, body: bytes) -> Shareable:
    """Return a request of ``kind``; a Shareable is good for one sending."""
    request = Shareable()
    request[_KIND], request[_BODY] = kind, body
    return request


def read_request(request: Shareable) -> tuple[str, bytes] | None:
    """Return kind and body; None for what is no request of ours."""
    kind, body = request.get(_KIND), request.get(_BODY)
    return (kind, body) if isinstance(kind, str) and isinstance(body, bytes) else None


def answered(body: bytes) -> Shareable:
    """Return the reply that carries ``body``."""
    reply = make_reply(ReturnCode.OK)
    reply[_BODY] = body
    return reply


def refused(text: str) -> Shareable:
    """Return the reply that says why there is no answer; only its first 2,000 characters."""
    reply = make_reply(ReturnCode.EXECUTION_EXCEPTION)
    reply[_REFUSAL] = text[:LONGEST_REFUSAL]
    return reply


def ending() -> Shareable:
    """Return the reply of a client whose job is ending: its site may answer in the next one."""
    return make_reply(ReturnCode.SERVICE_UNAVAILABLE)


def read_answer(reply: Shareable | None) -> Answer:
    """Read what came back from one client; None is what FLARE has of one that it cannot reach.

    A site says in words why it refuses. What has none is FLARE's own word for a client whose job
    has not begun, is ending, or has lost its connection: it may be reached again.
    """
    if reply is None:
        return Answer(None, "FLARE cannot reach it", away=True)
    code = reply.get_return_code()
    body, refusal = reply.get(_BODY), reply.get(_REFUSAL)
    if code == ReturnCode.OK and isinstance(body, bytes):
        return Answer(body)
    if isinstance(refusal, str):
        return Answer(None, "".join(filter(str.isprintable, refusal[:LONGEST_REFUSAL])))
    return Answer(None, f"FLARE says {code}", away=True)

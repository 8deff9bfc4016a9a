"""What a webhook's receiver must do: verify, apply once, and know who is in the audience."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_SIGNATURE = re.compile(r"^t=(\d{1,12}),v1=([0-9a-f]{64})$")


@dataclass(frozen=True, slots=True)
class Membership:
    """What the receiver was last told of a person in the audience."""

    identifiers: Mapping[str, str] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class WebhookInbox:
    """Verifies deliveries, applies each once, and keeps the present membership.

    A delivery is refused (401) unless its signature is right and its time within
    ``tolerance_s`` seconds of ``clock()``. A key seen before gets its first answer again and
    is not applied; with another body it is refused (422). ``reject`` may give the reason for
    which an event is not accepted.
    """

    def __init__(
        self,
        secret: bytes,
        *,
        clock: Callable[[], float],
        tolerance_s: float = 300.0,
        reject: Callable[[Mapping[str, Any]], str | None] | None = None,
    ) -> None:
        self.reject = reject or (lambda _: None)
        self.replays = 0
        self.events: list[Mapping[str, Any]] = []
        self._secret = secret
        self._clock = clock
        self._tolerance_s = tolerance_s
        self._answered: dict[str, tuple[bytes, Answer]] = {}
        self._members: dict[tuple[str, str], dict[str, Membership]] = {}

    def members(
        self, audience: str | None = None, site: str | None = None
    ) -> dict[str, Membership]:
        """Return who is in the audience by keyed id; every site and audience by default."""
        found = {}
        for (its_site, its_audience), people in self._members.items():
            if audience in {None, its_audience} and site in {None, its_site}:
                found.update(people)
        return found

    def take(self, headers: Mapping[str, str], body: bytes) -> Answer:
        """Verify and apply one delivery; return the answer that it gets."""
        if refusal := self._distrust(headers.get("X-Signature", ""), body):
            return _says(401, refusal)
        key = headers.get("Idempotency-Key", "")
        if not key:
            return _says(400, "no Idempotency-Key")
        digest = hashlib.sha256(body).digest()
        if key in self._answered:
            first, answer = self._answered[key]
            if first != digest:
                return _says(422, "this Idempotency-Key came with another body")
            self.replays += 1
            return answer
        answer = self._apply(body)
        if 200 <= answer.status < 300:  # noqa: PLR2004 - HTTP's success class
            self._answered[key] = (digest, answer)
        return answer

    def _distrust(self, signature: str, body: bytes) -> str | None:
        match = _SIGNATURE.match(signature)
        if not match:
            return "no valid X-Signature"
        moment, given = match.groups()
        signed = moment.encode() + b"." + body
        if not hmac.compare_digest(
            given, hmac.new(self._secret, signed, hashlib.sha256).hexdigest()
        ):
            return "the signature does not match"
        if abs(self._clock() - int(moment)) > self._tolerance_s:
            return "the signature is too old, or from the future"
        return None

    def _apply(self, body: bytes) -> Answer:
        try:
            delivery = json.loads(body)
            events = delivery["events"]
            people = self._members.setdefault(
                (delivery.get("site", ""), delivery.get("audience", "")), {}
            )
            results = [self._apply_one(event, people) for event in events]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return _says(400, f"not a delivery: {type(error).__name__}")
        return Answer(200, json.dumps({"results": results}).encode())

    def _apply_one(self, event: dict[str, Any], people: dict[str, Membership]) -> dict[str, str]:
        kind, person = event["type"], event["id"]
        self.events.append(event)
        reason = self.reject(event)
        if reason is not None:
            return {
                "event_id": event["event_id"],
                "status": "rejected",
                "code": "refused",
                "reason": reason,
            }
        if kind == "audience.exited":
            people.pop(person, None)
        elif kind in {"audience.entered", "audience.updated"}:
            people[person] = Membership(event["identifiers"], event["attributes"])
        else:
            return {"event_id": event["event_id"], "status": "rejected", "code": "unknown_type"}
        return {"event_id": event["event_id"], "status": "ok"}


def _says(status: int, sentence: str) -> Answer:
    return Answer(status, json.dumps({"error": sentence}).encode())

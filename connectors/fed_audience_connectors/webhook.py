"""Webhook: signed JSON events to an address of the brand's choice.

One POST carries a batch: ``{"version": 1, "site", "audience", "events": [...]}``. An event is
``audience.entered``, ``audience.updated`` or ``audience.exited`` with ``event_id``, the person's
keyed ``id``, and, unless they leave, ``identifiers`` and ``attributes``.

Headers: ``X-Signature: t=<unix seconds>,v1=<hex HMAC-SHA256 of "t.body">`` and
``Idempotency-Key``, equal whenever the same batch is sent again. The receiver may answer
``{"results": [{"event_id", "status": "ok|rejected|retry", "code", "reason"}]}``; without it a
2xx means that all were taken. A receiver that remembers the answer of a key must not remember
one that says ``retry``.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from fed_audience.activation import (
    INTERFACE_VERSION,
    Batch,
    BatchResult,
    Change,
    DestinationSpec,
    Limits,
    Outcome,
    Record,
    Status,
)
from fed_audience.config import StrictModel, secret_from_environment
from fed_audience.errors import DestinationError
from fed_audience_connectors.address_guard import AddressGuard
from fed_audience_connectors.http import Failure, HttpClient, Reply
from fed_audience_connectors.identifier_choice import CountryCode, IdentifierName, rules_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_ENVELOPE_BYTES = 256
_SHORTEST_SECRET = 16
_UNATTRIBUTABLE = frozenset({400, 409, 413, 422})
_THROTTLED = frozenset({425, 429})
_NOT_TAKEN = frozenset({408, 425, 429, 503})
_PERHAPS_TAKEN = frozenset({500, 502, 504, 507, 508})
_ADVICE = {
    401: "check the signing secret on both sides",
    403: "check that this sender may write there",
    404: "correct the url",
    405: "correct the url; it does not take POST",
    410: "correct the url; it was withdrawn",
}


class WebhookConfig(StrictModel):
    """Settings of a webhook. ``secret`` names the environment variable that holds the secret."""

    url: str
    secret: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{2,}$")]
    identifiers: tuple[IdentifierName, ...] = ("email_sha256",)
    country_code: CountryCode | None = None
    batch_rows: Annotated[int, Field(ge=1, le=10_000)] = 500
    batch_bytes: Annotated[int, Field(ge=4_096, le=16_000_000)] = 1_000_000
    calls_per_second: Annotated[int, Field(ge=1, le=10_000)] | None = None
    connect_timeout_s: Annotated[float, Field(gt=0, le=120)] = 5.0
    read_timeout_s: Annotated[float, Field(gt=0, le=600)] = 30.0
    allow_loopback: bool = False
    allow_private: bool = False

    @field_validator("url")
    @classmethod
    def _plain_url(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            message = "a webhook's url begins with https:// and names a host"
            raise ValueError(message)
        if parts.username or parts.password or parts.fragment:
            message = "a webhook's url holds no user, password or fragment"
            raise ValueError(message)
        return value


class WebhookDestination:
    """Sends signed events; reads the outcome of each from the receiver's reply."""

    spec = DestinationSpec(
        name="webhook",
        interface=INTERFACE_VERSION,
        config=WebhookConfig,
        purposes=("activate:*", "share_partner"),
        identifiers=rules_of(("email_sha256",), None),
        limits=Limits(max_rows=500, max_bytes=1_000_000),
        idempotent=True,
    )

    def __init__(
        self,
        config: WebhookConfig,
        *,
        base: Path | None = None,  # noqa: ARG002 - part of every connector's construction
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._config = config
        self._clock = clock
        self._secret = secret_from_environment(config.secret)
        if len(self._secret.get_secret_value()) < _SHORTEST_SECRET:
            raise DestinationError(
                "the webhook's secret is too short to sign with",
                limit=f"{_SHORTEST_SECRET} characters or more",
                looked=config.secret,
                fix="set a long random text, the same on both sides",
            )
        guard = AddressGuard(config.allow_loopback, config.allow_private)
        if urlsplit(config.url).scheme == "http" and not (
            config.allow_loopback or config.allow_private
        ):
            raise DestinationError(
                "personal data would cross the internet in the clear",
                value="http",
                limit="https",
                fix="use an https:// address, or 'allow_loopback: true' for one on this machine",
            )
        self._http = HttpClient(
            guard,
            connect_timeout_s=config.connect_timeout_s,
            read_timeout_s=config.read_timeout_s,
        )
        rate = config.calls_per_second
        self.spec = replace(
            type(self).spec,
            identifiers=rules_of(config.identifiers, config.country_code),
            limits=Limits(
                max_rows=config.batch_rows,
                max_bytes=config.batch_bytes - _ENVELOPE_BYTES,
                rates=((rate, 1.0),) if rate else (),
            ),
        )

    def upsert(self, batch: Batch) -> BatchResult:
        """Send entered and updated events."""
        return self._send(batch)

    def remove(self, batch: Batch) -> BatchResult:
        """Send exited events."""
        return self._send(batch)

    def check(self) -> str:
        """Send a signed batch without events; raise DestinationError unless it is welcome."""
        reply = self._post(b'{"version":1,"events":[]}', "check")
        if isinstance(reply, Failure) or not 200 <= reply.status < 300:  # noqa: PLR2004 - HTTP
            code = reply.code if isinstance(reply, Failure) else f"http_{reply.status}"
            raise DestinationError(
                "the webhook does not take events",
                value=code,
                looked=urlsplit(self._config.url).hostname,
                fix="check that the receiver runs and holds the same secret",
            )
        return f"{urlsplit(self._config.url).hostname} answers {reply.status}"

    def measure(self, record: Record) -> int:
        """Return the bytes of the record's event and its comma."""
        return len(_encoded(_event(record))) + 1

    def _send(self, batch: Batch) -> BatchResult:
        body = build(batch)
        reply = self._post(body, batch.key)
        if isinstance(reply, Failure):
            result = BatchResult.same(batch, reply.status, code=reply.code)
        else:
            result = classify(reply, batch, now=self._clock())
        return replace(result, bytes_sent=len(body))

    def _post(self, body: bytes, key: str) -> Reply | Failure:
        moment = int(self._clock())
        signature = sign(self._secret.get_secret_value().encode(), moment, body)
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": key,
            "User-Agent": "fed-audience",
            "X-Signature": f"t={moment},v1={signature}",
        }
        return self._http.post(self._config.url, body, headers)


def sign(secret: bytes, moment: int, body: bytes) -> str:
    """Return the hex HMAC-SHA256 of ``moment`` (unix seconds), a dot and the body."""
    return hmac.new(secret, b"%d.%b" % (moment, body), hashlib.sha256).hexdigest()


def build(batch: Batch) -> bytes:
    """Return the request's body; the same batch gives the same bytes."""
    return _encoded(
        {
            "version": 1,
            "site": batch.sync.site,
            "audience": batch.sync.audience,
            "events": [_event(record) for record in batch.records],
        }
    )


def classify(reply: Reply, batch: Batch, *, now: float) -> BatchResult:
    """Read the outcome of each record; raises DestinationError when nothing may be sent at all."""
    code = f"http_{reply.status}"
    if 200 <= reply.status < 300:  # noqa: PLR2004 - HTTP's success class
        return _per_record(reply, batch)
    if reply.status in _UNATTRIBUTABLE:
        return BatchResult.refused(batch, code=code, reason=_text(reply))
    if reply.status in _NOT_TAKEN | _PERHAPS_TAKEN:
        status = Status.RETRY if reply.status in _NOT_TAKEN else Status.UNKNOWN
        return replace(
            BatchResult.same(batch, status, code=code, reason=_text(reply)),
            throttled=reply.status in _THROTTLED,
            retry_after=reply.retry_after(now),
        )
    raise DestinationError(
        "the webhook refuses what is sent to it",
        value=f"HTTP {reply.status}",
        looked=batch.sync.id,
        fix=_ADVICE.get(reply.status, "check its url; redirects are not followed"),
    )


def _per_record(reply: Reply, batch: Batch) -> BatchResult:
    try:
        answer = json.loads(reply.body) if reply.body.strip() else None
    except ValueError:
        answer = None
    results = answer.get("results") if isinstance(answer, dict) else None
    if results is None:
        return BatchResult.accepted(batch)
    told = {
        one["event_id"]: one
        for one in (results if isinstance(results, list) else [])
        if isinstance(one, dict) and isinstance(one.get("event_id"), str)
    }
    return BatchResult(
        tuple(
            _outcome(index, told.get(record.event_id)) for index, record in enumerate(batch.records)
        )
    )


def _outcome(index: int, one: dict[str, Any] | None) -> Outcome:
    if one is None:
        return Outcome(index, Status.UNKNOWN, "no_result")
    status = {"ok": Status.OK, "rejected": Status.REJECTED, "retry": Status.RETRY}.get(
        str(one.get("status")), Status.UNKNOWN
    )
    code = str(one.get("code") or ("" if status is Status.OK else status.value))
    return Outcome(index, status, code[:64], str(one.get("reason") or ""))


def _event(record: Record) -> dict[str, object]:
    event: dict[str, object] = {
        "event_id": record.event_id,
        "type": f"audience.{record.change.value}",
        "id": record.key,
    }
    if record.change is Change.EXITED:
        event["reason"] = record.reason.value if record.reason else None
    else:
        event["identifiers"] = dict(record.identifiers)
        event["attributes"] = dict(record.attributes)
    return event


def _encoded(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def _text(reply: Reply) -> str:
    return reply.body[:500].decode("utf-8", errors="replace")

"""Webhook: signed, idempotent, read record by record, kept away from where it has no business."""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from fed_audience.activation import Batch, Change, Operation, Reason, Record, Status, Sync
from fed_audience.errors import ConfigError, DestinationError
from fed_audience.testing import Answer, WebhookReceiver
from fed_audience_connectors.address_guard import AddressGuard
from fed_audience_connectors.http import Failure, HttpClient, Reply
from fed_audience_connectors.webhook import (
    WebhookConfig,
    WebhookDestination,
    build,
    classify,
    sign,
)

SECRET = "a webhook secret of some length"
SYNC = Sync("fashion", "repurchase", "crm", "activate:email")
BATCH = Batch(
    SYNC,
    Operation.UPSERT,
    "key-1",
    (
        Record("k1", Change.ENTERED, {"email": "zoë@mail.example"}, {"score": 0.5}, event_id="e1"),
        Record("k2", Change.UPDATED, {"email": "b@mail.example"}, {"score": 0.25}, event_id="e2"),
    ),
)


@pytest.fixture(autouse=True)
def webhook_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_WEBHOOK_SECRET", SECRET)


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    with WebhookReceiver(SecretStr(SECRET)) as running:
        yield running


def destination(url: str, **settings: Any) -> WebhookDestination:
    config = {"allow_loopback": True, "secret": "TEST_WEBHOOK_SECRET", **settings, "url": url}
    return WebhookDestination(WebhookConfig(**config), clock=lambda: 1_790_000_000.9)


def test_the_body_and_its_signature_are_as_documented() -> None:
    body = build(BATCH)
    assert body.decode() == (
        '{"version":1,"site":"fashion","audience":"repurchase","events":['
        '{"event_id":"e1","type":"audience.entered","id":"k1",'
        '"identifiers":{"email":"zoë@mail.example"},"attributes":{"score":0.5}},'
        '{"event_id":"e2","type":"audience.updated","id":"k2",'
        '"identifiers":{"email":"b@mail.example"},"attributes":{"score":0.25}}]}'
    )
    signed = b"1790000000." + body
    assert sign(SECRET.encode(), 1_790_000_000, body) == (
        hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
    )


def test_a_removal_holds_an_id_and_a_reason_alone() -> None:
    record = Record(
        "k1", Change.EXITED, {"email": "a@b.example"}, reason=Reason.CONSENT, event_id="e"
    )
    body = json.loads(build(Batch(SYNC, Operation.REMOVE, "key", (record,))))
    assert body["events"] == [
        {"event_id": "e", "type": "audience.exited", "id": "k1", "reason": "consent"}
    ]


def test_the_request_carries_key_and_signature() -> None:
    with WebhookReceiver(SecretStr(SECRET), clock=lambda: 1_790_000_000.0) as receiver:
        result = destination(receiver.url).upsert(BATCH)
    (request,) = receiver.requests
    assert (request.key, request.status) == ("key-1", 200)
    assert request.headers["X-Signature"].startswith("t=1790000000,v1=")
    assert result.bytes_sent == len(request.body)


@pytest.mark.parametrize(
    ("status", "outcome", "throttled"),
    [
        (408, Status.RETRY, False),
        (425, Status.RETRY, True),
        (429, Status.RETRY, True),
        (500, Status.UNKNOWN, False),
        (502, Status.UNKNOWN, False),
        (503, Status.RETRY, False),
        (504, Status.UNKNOWN, False),
    ],
)
def test_a_passing_fault_is_tried_again(status: int, outcome: Status, throttled: bool) -> None:  # noqa: FBT001 - a parameter of the test
    result = classify(Reply(status, {"Retry-After": "5"}, b""), BATCH, now=0.0)
    assert [one.status for one in result.outcomes] == [outcome, outcome]
    assert (result.throttled, result.retry_after) == (throttled, 5.0)


@pytest.mark.parametrize("status", [400, 409, 413, 422])
def test_an_unattributed_refusal_lets_the_engine_halve(status: int) -> None:
    assert classify(Reply(status, {}, b""), BATCH, now=0.0).unattributed


@pytest.mark.parametrize("status", [301, 302, 307, 401, 403, 404, 405, 410, 418, 501])
def test_a_lasting_refusal_stops_the_sync(status: int) -> None:
    with pytest.raises(DestinationError, match=f"HTTP {status}"):
        classify(Reply(status, {}, b""), BATCH, now=0.0)


@pytest.mark.parametrize("body", [b"", b"OK", b"[]", b'{"ok":true}', b"\xff"])
def test_a_plain_2xx_means_that_all_were_taken(body: bytes) -> None:
    result = classify(Reply(204, {}, body), BATCH, now=0.0)
    assert [one.status for one in result.outcomes] == [Status.OK, Status.OK]


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        (
            [{"event_id": "e2", "status": "rejected", "code": "c", "reason": "r"}],
            [(Status.UNKNOWN, "no_result"), (Status.REJECTED, "c")],
        ),
        (
            [{"event_id": "e1", "status": "retry"}, {"event_id": "e2", "status": "ok"}],
            [(Status.RETRY, "retry"), (Status.OK, "")],
        ),
        (
            [{"event_id": "e1", "status": "splendid"}, {"event_id": 2}, "e2"],
            [(Status.UNKNOWN, "unknown"), (Status.UNKNOWN, "no_result")],
        ),
        ("all fine", [(Status.UNKNOWN, "no_result")] * 2),
    ],
)
def test_results_are_read_record_by_record(results: Any, expected: Any) -> None:
    reply = Reply(200, {}, json.dumps({"results": results}).encode())
    found = classify(reply, BATCH, now=0.0).outcomes
    assert [(one.status, one.code) for one in found] == expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("120", 120.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        ("Thu, 01 Oct 2026 00:01:00 GMT", 60.0),
        ("Thu, 01 Oct 2026 00:01:00 -0000", 60.0),
        ("soon", None),
        ("inf", None),
        ("", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str, expected: float | None) -> None:
    now = 1_790_812_800.0  # 2026-10-01 00:00:00 UTC
    assert Reply(429, {"Retry-After": header}, b"").retry_after(now) == expected


@pytest.mark.parametrize(
    ("address", "encrypted", "allowed_by"),
    [
        ("93.184.216.34", True, "anything"),
        ("93.184.216.34", False, None),
        ("2606:2800:220:1:248:1893:25c8:1946", True, "anything"),
        ("127.0.0.1", False, "allow_loopback"),
        ("::1", True, "allow_loopback"),
        ("::ffff:127.0.0.1", True, "allow_loopback"),
        ("10.1.2.3", False, "allow_private"),
        ("192.168.0.1", True, "allow_private"),
        ("100.64.0.1", True, "allow_private"),
        ("fd00::1", True, "allow_private"),
        ("64:ff9b::a01:203", True, "allow_private"),
        ("169.254.169.254", True, None),
        ("::ffff:169.254.169.254", True, None),
        ("64:ff9b::a9fe:a9fe", True, None),
        ("fe80::1%eth0", True, None),
        ("224.0.0.1", True, None),
        ("0.0.0.0", True, None),  # noqa: S104 - nothing is bound to it
        ("240.0.0.1", True, None),
    ],
)
def test_an_address_needs_its_own_permission(
    address: str,
    encrypted: bool,  # noqa: FBT001 - a parameter of the test
    allowed_by: str | None,
) -> None:
    for options in ({}, {"allow_loopback": True}, {"allow_private": True}):
        guard = AddressGuard(**options)
        if allowed_by == "anything" or (allowed_by in options):
            guard.check(address, encrypted=encrypted)
        else:
            with pytest.raises(DestinationError):
                guard.check(address, encrypted=encrypted)


def test_not_a_byte_of_the_request_reaches_a_refused_address() -> None:
    received = bytearray()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def listen() -> None:
            connection, _ = server.accept()
            with connection:
                while part := connection.recv(4096):
                    received.extend(part)

        thread = threading.Thread(target=listen)
        thread.start()
        client = HttpClient(AddressGuard(allow_private=True), connect_timeout_s=2, read_timeout_s=2)
        port = server.getsockname()[1]
        with pytest.raises(DestinationError, match="leads to this machine"):
            client.post(f"http://localhost:{port}/", b"personal data", {})
        thread.join()
    assert received == b""


def test_http_needs_an_explicit_permission() -> None:
    with pytest.raises(DestinationError, match="in the clear"):
        destination("http://crm.example/hook", allow_loopback=False)


def test_a_redirect_is_not_followed(receiver: WebhookReceiver) -> None:
    receiver.answer_next(Answer(302, headers={"Location": receiver.url}))
    with pytest.raises(DestinationError, match="HTTP 302"):
        destination(receiver.url).upsert(BATCH)
    assert len(receiver.requests) == 1


def test_proxies_and_passwords_of_the_environment_are_not_used(
    receiver: WebhookReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    client = HttpClient(AddressGuard(allow_loopback=True), connect_timeout_s=2, read_timeout_s=2)
    reply = client.post(receiver.url, b"{}", {})
    assert isinstance(reply, Reply)


def test_silence_is_unknown_and_a_closed_port_is_not() -> None:
    client = HttpClient(AddressGuard(allow_loopback=True), connect_timeout_s=2, read_timeout_s=0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert client.post(f"http://127.0.0.1:{port}/", b"x", {}) == Failure(
            Status.UNKNOWN, "read_timeout"
        )
    assert client.post(f"http://127.0.0.1:{port}/", b"x", {}) == Failure(
        Status.RETRY, "unreachable"
    )


def test_a_reply_without_end_is_refused(
    receiver: WebhookReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fed_audience_connectors.http._LARGEST_REPLY", 1_000)
    receiver.answer_next(Answer(200, b"x" * 2_000))
    with pytest.raises(DestinationError, match="reply is too large"):
        destination(receiver.url).upsert(BATCH)


def test_a_short_or_missing_secret_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_WEBHOOK_SECRET", "short-one")
    with pytest.raises(DestinationError, match="too short") as caught:
        destination("https://crm.example")
    assert "short-one" not in str(caught.value)
    monkeypatch.delenv("TEST_WEBHOOK_SECRET")
    with pytest.raises(ConfigError, match="TEST_WEBHOOK_SECRET"):
        destination("https://crm.example")


def test_the_connection_can_be_checked_before_data_moves(receiver: WebhookReceiver) -> None:
    config = WebhookConfig(url=receiver.url, secret="TEST_WEBHOOK_SECRET", allow_loopback=True)
    honest = WebhookDestination(config)
    assert honest.check() == "127.0.0.1 answers 200"
    assert receiver.members() == {}
    receiver.answer_next(Answer(404))
    with pytest.raises(DestinationError, match="http_404"):
        honest.check()


def test_secrets_are_in_no_repr() -> None:
    out = destination("https://crm.example/path?token=hidden")
    assert SECRET not in repr(out.__dict__)

"""The receiver distrusts what it gets, applies it once, and frees its port."""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import time
from typing import Any

import pytest
import requests
from pydantic import SecretStr

from fed_audience.errors import ResourceError
from fed_audience.testing import Answer, Cut, WebhookReceiver

SECRET = "a webhook secret of some length"


def delivery(kind: str = "audience.entered", person: str = "k1", **more: Any) -> bytes:
    event = {"event_id": "e1", "type": kind, "id": person, "identifiers": {}, "attributes": {}}
    body = {"version": 1, "site": "fashion", "audience": "vip", "events": [event], **more}
    return json.dumps(body).encode()


def post(
    receiver: WebhookReceiver,
    body: bytes,
    *,
    key: str = "key-1",
    age: float = 0.0,
    signature: str | None = None,
) -> requests.Response:
    moment = int(time.time() - age)
    honest = hmac.new(SECRET.encode(), b"%d.%b" % (moment, body), hashlib.sha256).hexdigest()
    if signature is None:
        signature = f"t={moment},v1={honest}"
    sent = {"X-Signature": signature, "Idempotency-Key": key}
    return requests.post(receiver.url, data=body, headers=sent, timeout=5)


@pytest.fixture
def receiver() -> Any:
    with WebhookReceiver(SecretStr(SECRET)) as running:
        yield running


def test_membership_follows_the_events(receiver: WebhookReceiver) -> None:
    assert post(receiver, delivery()).json() == {"results": [{"event_id": "e1", "status": "ok"}]}
    assert set(receiver.members(audience="vip", site="fashion")) == {"k1"}
    assert receiver.members(audience="other") == {}
    post(receiver, delivery("audience.exited"), key="key-2")
    assert receiver.members() == {}


def test_a_key_seen_before_is_answered_and_not_applied(receiver: WebhookReceiver) -> None:
    first = post(receiver, delivery())
    again = post(receiver, delivery())
    assert first.content == again.content
    assert (len(receiver.inbox.events), receiver.inbox.replays) == (1, 1)
    assert post(receiver, delivery(person="k2")).status_code == 422
    assert len(receiver.bodies) == 3


@pytest.mark.parametrize("age", [400.0, -400.0])
def test_an_old_or_future_signature_is_refused(receiver: WebhookReceiver, age: float) -> None:
    response = post(receiver, delivery(), age=age)
    assert (response.status_code, receiver.members()) == (401, {})


@pytest.mark.parametrize("signature", ["", "t=1", f"t=1,v1={'0' * 64}", "v1=zz,t=9"])
def test_a_wrong_signature_is_refused(receiver: WebhookReceiver, signature: str) -> None:
    response = post(receiver, delivery(), signature=signature)
    assert (response.status_code, receiver.members()) == (401, {})


def test_a_changed_body_is_refused(receiver: WebhookReceiver) -> None:
    moment = int(time.time())
    signature = hmac.new(SECRET.encode(), b"%d.{}" % moment, hashlib.sha256).hexdigest()
    response = post(receiver, delivery(), signature=f"t={moment},v1={signature}")
    assert (response.status_code, receiver.members()) == (401, {})


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"events":[1]}', b'{"events":[{}]}'])
def test_what_is_no_delivery_is_refused(receiver: WebhookReceiver, body: bytes) -> None:
    assert post(receiver, body).status_code == 400


def test_scripted_answers_come_in_order_and_apply_nothing(receiver: WebhookReceiver) -> None:
    receiver.answer_next(Answer(503, headers={"Retry-After": "1"}), Cut.BEFORE, Cut.AFTER)
    assert post(receiver, delivery()).headers["Retry-After"] == "1"
    with pytest.raises(requests.ConnectionError):
        post(receiver, delivery())
    assert receiver.members() == {}
    with pytest.raises(requests.ConnectionError):
        post(receiver, delivery())
    assert set(receiver.members()) == {"k1"}
    assert [request.status for request in receiver.requests] == [503, 0, 0]


def test_a_taken_port_is_one_clear_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ResourceError, match=f"value: {port}"):
            WebhookReceiver(SecretStr(SECRET), port=port)


def test_the_port_is_free_afterwards() -> None:
    with WebhookReceiver(SecretStr(SECRET)) as first:
        port = first.port
    with WebhookReceiver(SecretStr(SECRET), port=port) as second:
        assert second.port == port


def test_a_fault_of_the_receiver_itself_is_not_hidden() -> None:
    def broken(_: Any) -> str | None:
        message = "the test's own mistake"
        raise RuntimeError(message)

    with (
        pytest.raises(RuntimeError, match="own mistake"),
        WebhookReceiver(SecretStr(SECRET), reject=broken) as receiver,
        pytest.raises(requests.ConnectionError),
    ):
        post(receiver, delivery())

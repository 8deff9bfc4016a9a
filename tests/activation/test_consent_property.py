"""Whatever happens in whatever order: nobody without consent is in any body."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from fed_audience.activation import Contact, Limits, Member, Pace, RetryPolicy, Sync, SyncState
from fed_audience.activation.plan import plan
from fed_audience.activation.sync import run
from fed_audience.errors import DestinationError
from fed_audience.testing import Answer, Cut, WebhookReceiver
from fed_audience.warehouse.duckdb import DuckDbWarehouse
from fed_audience_connectors.webhook import WebhookConfig, WebhookDestination

AS_OF = datetime(2026, 10, 1)  # noqa: DTZ001 - warehouse times are naive UTC
PEOPLE = [f"person-{number}" for number in range(6)]
SETS = st.sets(st.sampled_from(PEOPLE))
FAULTS = st.lists(
    st.sampled_from([Cut.BEFORE, Cut.AFTER, Answer(500), Answer(429), Answer(413), None]),
    max_size=4,
)
STEP = st.tuples(SETS, SETS, SETS, st.integers(0, 2), FAULTS)


class Gate:
    """Consent that changes between the plan and the send."""

    def __init__(self) -> None:
        self.granted: set[str] = set()

    def allowed(self, subject_ids: Any, purpose: str, as_of: Any) -> Any:
        assert (purpose, as_of) == ("activate:email", AS_OF)
        return {
            one: type("V", (), {"allowed": one in self.granted, "rule": "r"}) for one in subject_ids
        }


@settings(
    max_examples=12,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=st.lists(STEP, min_size=1, max_size=4))
def test_no_record_without_consent_ever_appears_in_any_body(
    steps: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "a webhook secret of some length"
    monkeypatch.setenv("TEST_WEBHOOK_SECRET", secret)
    sync = Sync("fashion", "repurchase", "crm", "activate:email", max_fall=1.0)
    gate = Gate()
    contacts = [Contact(one, f"{one}@mail.example") for one in PEOPLE]
    with WebhookReceiver(SecretStr(secret)) as receiver:
        config = WebhookConfig(
            url=receiver.url,
            secret="TEST_WEBHOOK_SECRET",
            allow_loopback=True,
            identifiers=("email",),
            batch_rows=2,
        )
        warehouse = DuckDbWarehouse(None)
        destination = WebhookDestination(config)

        def once(audience: set[str], version: int, later: set[str]) -> None:
            state = SyncState(warehouse, sync, SecretStr("a deployment secret of some length"))
            members = [
                Member(one, f"{one}@mail.example", None, {"score": version}) for one in audience
            ]
            planned = plan(
                members,
                contacts,
                state,
                gate,
                destination.spec,
                AS_OF,
                confirm_removals=True,
                retry_refused=True,
            )
            gate.granted = later
            run(
                planned,
                destination,
                state,
                gate,
                pace=Pace(Limits(), sleep=lambda _: None),
                policy=RetryPolicy(sleep=lambda _: None, attempts=3),
            )

        for audience, at_plan, at_send, version, faults in steps:
            gate.granted = at_plan
            before = len(receiver.bodies)
            receiver._script.clear()
            receiver.answer_next(*(fault for fault in faults if fault is not None))
            try:
                once(audience, version, at_send)
            except DestinationError:
                assert faults
            for body in receiver.bodies[before:]:
                for one in set(PEOPLE) - at_send:
                    assert one.encode() not in body
                told = [e for e in json.loads(body)["events"] if e["type"] != "audience.exited"]
                assert all("identifiers" in event for event in told)

        # An honest destination and an unchanged consent end in the very audience allowed.
        receiver._script.clear()
        audience, granted = steps[-1][0], steps[-1][2]
        once(audience, 9, granted)
        state = SyncState(warehouse, sync, SecretStr("a deployment secret of some length"))
        expected = {state.keys.record_key(one) for one in audience & granted}
        assert set(receiver.members()) == expected
        count = len(receiver.bodies)
        once(audience, 9, granted)
        assert len(receiver.bodies) == count

"""A brand with a real warehouse, a live consent ledger, and a webhook on loopback."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pyarrow as pa
import pytest
from pydantic import SecretStr

from fed_audience.activation import (
    Contact,
    Limits,
    Member,
    Pace,
    Plan,
    RetryPolicy,
    Sync,
    SyncReport,
    SyncState,
)
from fed_audience.activation.keys import StateKeys
from fed_audience.activation.plan import plan
from fed_audience.activation.sync import run
from fed_audience.testing import WebhookReceiver
from fed_audience.warehouse.duckdb import DuckDbWarehouse
from fed_audience.warehouse.protocol import Relation
from fed_audience_connectors.webhook import WebhookConfig, WebhookDestination

AS_OF = datetime(2026, 10, 1)  # noqa: DTZ001 - warehouse times are naive UTC
STATE_KEY = SecretStr("a deployment secret of some length")
WEBHOOK_KEY = "a webhook secret of some length"


@dataclass(frozen=True)
class Verdict:
    allowed: bool
    rule: str


GRANTED, WITHDRAWN = Verdict(allowed=True, rule="granted"), Verdict(False, "withdrawn")


@dataclass
class LedgerGate:
    """Reads one row per person and purpose from the warehouse, each time anew."""

    warehouse: DuckDbWarehouse
    questions: int = 0
    before_answer: Callable[[int], None] = field(default=lambda _: None)

    def allowed(
        self, subject_ids: Sequence[str], purpose: str, as_of: datetime
    ) -> Mapping[str, Verdict]:
        assert as_of.year == 2026
        self.questions += 1
        self.before_answer(self.questions)
        rows = self.warehouse.query("SELECT customer_id, purpose, granted FROM consent").to_pylist()
        wanted = set(subject_ids)
        return {
            row["customer_id"]: Verdict(
                row["granted"], "granted" if row["granted"] else "withdrawn"
            )
            for row in rows
            if row["purpose"] == purpose and row["customer_id"] in wanted
        }


class Brand:
    """Customers c0, c1, ... with consent for e-mail, and one audience synced to a webhook."""

    purpose = "activate:email"

    def __init__(self, receiver: WebhookReceiver, **webhook: Any) -> None:
        self.warehouse = DuckDbWarehouse(None)
        self.warehouse.execute(
            "CREATE TABLE consent (customer_id TEXT, purpose TEXT, granted BOOL)"
        )
        self.receiver = receiver
        self.gate = LedgerGate(self.warehouse)
        self.contacts: dict[str, Contact] = {}
        self.waits: list[float] = []
        self.settings = {
            "url": receiver.url,
            "secret": "TEST_WEBHOOK_SECRET",
            "allow_loopback": True,
            "identifiers": ("email",),
            **webhook,
        }
        self.sync = Sync("fashion", "repurchase", "crm", self.purpose)

    def customers(self, count: int) -> list[str]:
        ids = [f"customer-{number:04d}" for number in range(count)]
        self.contacts = {one: Contact(one, f"{one}@mail.example", None) for one in ids}
        self.grant(ids)
        return ids

    def grant(self, ids: Iterable[str]) -> None:
        self._consent(ids, granted=True)

    def withdraw(self, ids: Iterable[str]) -> None:
        self._consent(ids, granted=False)

    def _consent(self, ids: Iterable[str], *, granted: bool) -> None:
        found = list(ids)
        rows = pa.table(
            {
                "customer_id": found,
                "purpose": [self.purpose] * len(found),
                "granted": [granted] * len(found),
            }
        )
        with self.warehouse.transaction():
            places = ", ".join("?" * len(found))
            self.warehouse.execute(f"DELETE FROM consent WHERE customer_id IN ({places})", found)
            self.warehouse.insert(Relation("main", "consent"), rows)

    def members(self, ids: Iterable[str], score: float = 0.5) -> list[Member]:
        return [Member(one, f"{one}@mail.example", None, {"score": score}) for one in ids]

    def state(self) -> SyncState:
        return SyncState(self.warehouse, self.sync, STATE_KEY)

    def destination(self) -> WebhookDestination:
        return WebhookDestination(WebhookConfig(**self.settings))

    def plan(self, members: Iterable[Member], **options: Any) -> Plan:
        destination = self.destination()
        return plan(
            members,
            self.contacts.values(),
            self.state(),
            self.gate,
            destination.spec,
            AS_OF,
            **options,
        )

    def run(self, planned: Plan, destination: Any = None, **options: Any) -> SyncReport:
        policy = RetryPolicy(sleep=self.waits.append)
        return run(
            planned,
            destination or self.destination(),
            self.state(),
            self.gate,
            pace=Pace(Limits(), sleep=lambda _: None),
            policy=options.pop("policy", policy),
            **options,
        )

    def send(self, members: Iterable[Member], **options: Any) -> SyncReport:
        return self.run(self.plan(members, **options))

    def key(self, customer_id: str) -> str:
        return StateKeys(STATE_KEY, self.sync.scope).record_key(customer_id)

    def present(self) -> set[str]:
        """The customers whom the receiver holds."""
        held = self.receiver.members()
        return {one for one in self.contacts if self.key(one) in held}


@pytest.fixture(autouse=True)
def webhook_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_WEBHOOK_SECRET", WEBHOOK_KEY)


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    with WebhookReceiver(SecretStr(WEBHOOK_KEY)) as running:
        yield running


@pytest.fixture
def brand(receiver: WebhookReceiver) -> Brand:
    return Brand(receiver)


@pytest.fixture
def small_batches(receiver: WebhookReceiver) -> Brand:
    return Brand(receiver, batch_rows=4)

"""The engine under the consent gate that production uses, on a live ledger."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from fed_audience.consent.gate import ConsentGate
from fed_audience.errors import ConsentError
from fed_audience.warehouse.protocol import Relation

AS_OF = datetime(2026, 10, 1)  # noqa: DTZ001 - warehouse times are naive UTC
LEDGER = Relation("main", "int_consent_ledger")
RULES = Relation("main", "jurisdiction_rules")


class Ledger:
    """Consent events of a brand, as its dbt project would show them."""

    def __init__(self, brand: Any) -> None:
        self._warehouse = brand.warehouse
        self._count = 0
        brand.warehouse.execute(
            "CREATE TABLE int_consent_ledger (consent_event_id TEXT, member_id TEXT,"
            " subject_id TEXT, purpose TEXT, status TEXT, legal_basis TEXT, jurisdiction TEXT,"
            " effective_at TIMESTAMP, recorded_at TIMESTAMP, expires_at TIMESTAMP,"
            " time_trust TEXT, is_minor BOOLEAN)"
        )
        brand.warehouse.execute(
            "CREATE TABLE jurisdiction_rules AS SELECT 'EU' AS jurisdiction,"
            " 'activate:email' AS purpose, 'opt_in' AS default_mode, 730 AS ttl_days,"
            " false AS minor_unknown_is_minor"
        )

    def say(self, status: str, customers: list[str], at: datetime) -> None:
        rows = []
        for customer in customers:
            self._count += 1
            rows.append(
                {
                    "consent_event_id": f"e{self._count}",
                    "member_id": f"crm:{customer}",
                    "subject_id": customer,
                    "purpose": "activate:email",
                    "status": status,
                    "legal_basis": "consent",
                    "jurisdiction": "EU",
                    "effective_at": at,
                    "recorded_at": at,
                    "time_trust": "server",
                    "is_minor": False,
                }
            )
        self._warehouse.insert(LEDGER, pa.Table.from_pylist(rows))


@pytest.fixture
def ledger(brand: Any) -> Ledger:
    found = Ledger(brand)
    brand.gate = ConsentGate(brand.warehouse, LEDGER, RULES)
    return found


def test_a_withdrawal_in_the_ledger_is_a_removal_at_the_destination(
    brand: Any, ledger: Ledger
) -> None:
    ids = brand.customers(10)
    ledger.say("granted", ids, AS_OF - timedelta(hours=2))
    assert brand.send(brand.members(ids)).added == 10
    ledger.say("withdrawn", ids[:3], AS_OF - timedelta(hours=1))
    report = brand.send(brand.members(ids))
    assert (report.withdrawn, report.unchanged) == (3, 7)
    assert brand.present() == set(ids[3:])


def test_a_withdrawal_during_a_run_counts_as_of_the_clock(brand: Any, ledger: Ledger) -> None:
    ids = brand.customers(4)
    ledger.say("granted", ids, AS_OF - timedelta(hours=2))
    planned = brand.plan(brand.members(ids))
    ledger.say("withdrawn", ids[:1], AS_OF + timedelta(minutes=5))
    report = brand.run(planned, clock=lambda: AS_OF + timedelta(minutes=10))
    assert (report.added, sum(report.dropped.values())) == (3, 1)
    assert brand.present() == set(ids[1:])


def test_a_ledger_that_stands_still_stops_the_plan(brand: Any, ledger: Ledger) -> None:
    ids = brand.customers(2)
    ledger.say("granted", ids, AS_OF - timedelta(days=9))
    with pytest.raises(ConsentError):
        brand.plan(brand.members(ids))
    assert brand.receiver.bodies == []

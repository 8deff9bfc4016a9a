"""A brand whose ledger a test writes event by event."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count

import pyarrow as pa
import pytest

from fed_audience.consent.statement import ConsentRelations
from fed_audience.warehouse.protocol import Warehouse

NOW = datetime(2026, 6, 1)  # noqa: DTZ001 - naive and UTC, as everywhere
DAY = timedelta(days=1)


@dataclass
class Brand:
    warehouse: Warehouse
    relations: ConsentRelations
    numbers: count[int] = field(default_factory=lambda: count(1))

    def add_customers(self, *customers: str) -> None:
        rows = pa.table({"customer_id": list(customers)})
        self.warehouse.insert(self.relations.customers, rows)

    def say(
        self, subject: str, purpose: str, status: str, *, days_ago: float = 1.0, **changes: object
    ) -> str:
        """Record one event and return its id."""
        at = NOW - days_ago * DAY
        event = {
            "consent_event_id": f"e{next(self.numbers):04}",
            "member_id": f"crm:{subject}",
            "subject_id": subject,
            "purpose": purpose,
            "status": status,
            "jurisdiction": "EU",
            "effective_at": at,
            "recorded_at": at,
            "time_trust": "server",
            "is_minor": False,
            "legal_basis": "consent",
        } | changes
        rows = pa.table({name: [value] for name, value in event.items()})
        self.warehouse.insert(self.relations.ledger, rows)
        return str(event["consent_event_id"])


@pytest.fixture
def brand(empty_warehouse: Warehouse) -> Brand:
    warehouse = empty_warehouse
    relations = ConsentRelations.of_schema("analytics")
    with warehouse.transaction():
        warehouse.execute("create schema analytics")
        warehouse.execute(f"create table {relations.customers.sql()} (customer_id varchar)")
        warehouse.execute(
            f"create table {relations.ledger.sql()} (consent_event_id varchar, member_id varchar,"
            " subject_id varchar, purpose varchar, status varchar, jurisdiction varchar,"
            " effective_at timestamp, recorded_at timestamp, expires_at timestamp,"
            " time_trust varchar, is_minor boolean, legal_basis varchar)"
        )
        warehouse.execute(
            f"create table {relations.rules.sql()} as select * from (values"
            " ('EU', 'profile', 'opt_in', 730, false), ('EU', 'train', 'opt_in', 730, true),"
            " ('EU', 'share_model', 'opt_in', 730, true),"
            " ('EU', 'activate:email', 'opt_in', 730, false),"
            " ('US', 'activate:email', 'opt_out', 730, false),"
            " ('ZZ', 'profile', 'opt_in', 365, true))"
            " as rules (jurisdiction, purpose, default_mode, ttl_days, minor_unknown_is_minor)"
        )
    return Brand(warehouse, relations)

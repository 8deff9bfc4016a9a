"""The SQL of the dbt package and the Python of the gate decide alike, on random ledgers."""

from __future__ import annotations

from dataclasses import astuple
from datetime import datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fed_audience.consent.events import ConsentEvent
from fed_audience.consent.gate import ConsentGate
from fed_audience.consent.order import NO_EVENT, decide
from fed_audience.consent.rules import JurisdictionRule, Rules
from fed_audience.consent.statement import ConsentRelations, consenting, decisions_sql
from fed_audience.errors import ConsentError
from fed_audience.warehouse.protocol import Relation, Warehouse

AS_OF = datetime(2026, 6, 1, 12, 30, 15, 250_000)  # noqa: DTZ001 - naive and UTC
TERM = timedelta(days=30)
MOMENTS = [AS_OF - TERM, AS_OF - TERM + timedelta(microseconds=1), AS_OF, AS_OF - timedelta(days=3)]
MOMENTS += [AS_OF + timedelta(microseconds=1), AS_OF - 2 * TERM, AS_OF - timedelta(days=2)]
PURPOSES = ["train", "profile", "activate:email"]
PEOPLE = ["ada", "grace"]
RELATIONS = ConsentRelations.of_schema()

moments = st.sampled_from(MOMENTS)
# Half of the draws are ordinary, so that grants meet refusals instead of NULLs.
events = st.builds(
    ConsentEvent,
    event_id=st.text("aAbB\u00e9\U0001f600", min_size=1, max_size=3),
    member_id=st.sampled_from(["crm:1", "web:1"]),
    subject_id=st.sampled_from(["ada", "ada", "grace", None]),
    purpose=st.sampled_from([*PURPOSES, "train", "train", None]),
    status=st.sampled_from(
        ["granted", "granted", "granted", "denied", "withdrawn", "expired", "unknown", None]
    ),
    jurisdiction=st.sampled_from(["EU", "US", "US", "XX", None]),
    effective_at=moments | moments | st.none(),
    recorded_at=moments | moments | st.none(),
    expires_at=st.none() | moments,
    time_trust=st.sampled_from(["server", "client", None]),
    is_minor=st.sampled_from([False, False, None, True]),
    legal_basis=st.just("consent"),
)
rule_rows = st.lists(
    st.builds(
        JurisdictionRule,
        jurisdiction=st.sampled_from(["EU", "US", "ZZ"]),
        purpose=st.sampled_from(PURPOSES),
        default_mode=st.sampled_from(["opt_in", "opt_out", "opt_out", None]),
        ttl_days=st.sampled_from([None, None, 30, 60]),
        minor_unknown_is_minor=st.sampled_from([False, False, True, None]),
    ),
    max_size=9,
)


@pytest.fixture
def warehouse(empty_warehouse: Warehouse) -> Warehouse:
    opened = empty_warehouse
    opened.execute(
        "create table int_consent_ledger (consent_event_id varchar, member_id varchar,"
        " subject_id varchar, purpose varchar, status varchar, jurisdiction varchar,"
        " effective_at timestamp, recorded_at timestamp, expires_at timestamp,"
        " time_trust varchar, is_minor boolean, legal_basis varchar)"
    )
    opened.execute(
        "create table jurisdiction_rules (jurisdiction varchar, purpose varchar,"
        " default_mode varchar, ttl_days integer, minor_unknown_is_minor boolean)"
    )
    return opened


def fill(warehouse: Warehouse, ledger: list[ConsentEvent], rules: list[JurisdictionRule]) -> None:
    with warehouse.transaction():
        for table, rows in (("int_consent_ledger", ledger), ("jurisdiction_rules", rules)):
            warehouse.execute(f"delete from {table}")
            if rows:
                names = warehouse.columns(Relation("main", table))
                columns = zip(*(astuple(row) for row in rows), strict=True)
                new = pa.table({n: pa.array(c) for n, c in zip(names, columns, strict=True)})
                warehouse.insert(Relation("main", table), new)


def by_sql(warehouse: Warehouse) -> dict[tuple[str, str], tuple[bool, str, str | None]]:
    found = warehouse.query(
        "select subject_id, purpose, is_consented, rule, consent_event_id"
        f" from ({decisions_sql(warehouse, RELATIONS, AS_OF)}) as decisions"
    ).to_pylist()
    decided = {
        (row["subject_id"], row["purpose"]): (
            row["is_consented"],
            row["rule"],
            row["consent_event_id"],
        )
        for row in found
    }
    assert len(decided) == len(found)
    return decided


def by_gate(warehouse: Warehouse, purpose: str) -> dict[str, tuple[bool, str, str | None]]:
    gate = ConsentGate(warehouse, RELATIONS.ledger, RELATIONS.rules, 100 * TERM)
    decisions = gate.allowed(PEOPLE, purpose, AS_OF)
    return {
        person: (decision.allowed, decision.rule, decision.event_id)
        for person, decision in decisions.items()
    }


# The tables are emptied for each example, so the examples may share them.
@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    ledger=st.lists(events, min_size=1, max_size=9, unique_by=lambda event: event.event_id),
    rules=rule_rows,
    asked=st.sampled_from(PURPOSES),
)
def test_the_sql_the_reference_and_the_gate_decide_alike(
    warehouse: Warehouse, ledger: list[ConsentEvent], rules: list[JurisdictionRule], asked: str
) -> None:
    fill(warehouse, ledger, rules)
    in_sql = by_sql(warehouse)
    has_ledger = any(event.recorded_at and event.recorded_at <= AS_OF for event in ledger)
    for purpose in [*PURPOSES, "share_model"]:
        ours: dict[str, tuple[bool, str, str | None]] = {}
        for person in PEOPLE:
            theirs = [event for event in ledger if event.subject_id == person]
            decision = decide(
                theirs, purpose=purpose, as_of=AS_OF, rules=Rules(rules), subject_id=person
            )
            ours[person] = (decision.allowed, decision.rule, decision.event_id)
            assert ours[person] == in_sql.pop((person, purpose), (False, NO_EVENT, None))
        if purpose == asked and rules and has_ledger:
            assert by_gate(warehouse, purpose) == ours
    assert in_sql == {}


def test_only_those_who_consent_to_all_purposes_are_returned(empty_warehouse: Warehouse) -> None:
    warehouse = empty_warehouse
    warehouse.execute(
        "create view int_consent_ledger as select subject_id || purpose as consent_event_id, *,"
        " 'crm:' || subject_id as member_id, 'granted' as status, 'EU' as jurisdiction,"
        " timestamp '2026-05-01' as effective_at, timestamp '2026-05-01' as recorded_at,"
        " null::timestamp as expires_at, 'server' as time_trust, false as is_minor from (values"
        " ('b', 'train'), ('b', 'share_model'), ('a', 'train'), ('a', 'share_model'),"
        " ('only_train', 'train'), ('only_share', 'share_model')) t (subject_id, purpose)"
    )
    warehouse.execute(
        "create table jurisdiction_rules as select 'EU' as jurisdiction, 'train' as purpose,"
        " 'opt_in' as default_mode, 365 as ttl_days, true as minor_unknown_is_minor"
    )
    both = consenting(warehouse, RELATIONS, ("train", "share_model", "train"), AS_OF)
    assert both.to_pylist() == ["a", "b"]
    assert consenting(warehouse, RELATIONS, ["train"], AS_OF).to_pylist() == [
        "a",
        "b",
        "only_train",
    ]
    before = datetime(2026, 4, 30)  # noqa: DTZ001 - naive and UTC
    assert consenting(warehouse, RELATIONS, ["train"], before).to_pylist() == []
    with pytest.raises(ConsentError, match="no purpose"):
        consenting(warehouse, RELATIONS, [], AS_OF)
    with pytest.raises(ConsentError, match="did you mean 'train'"):
        consenting(warehouse, RELATIONS, ["trian"], AS_OF)

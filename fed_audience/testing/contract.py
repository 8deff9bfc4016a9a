# ruff: noqa: S101, D102 - these are tests: they assert, and their names are their sentences
"""The promises that every destination makes, as tests for its author to inherit.

    class TestMyDestination(DestinationContract):
        @pytest.fixture
        def harness(self) -> Iterator[DestinationHarness]:
            with MyLocalFake() as fake:
                yield MyHarness(fake)

A harness joins the destination with something that plays the tool's part, and can bring about
the faults that the tool knows. A fault that it does not know is skipped by name.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

import pytest
from pydantic import SecretStr

from fed_audience.activation import (
    INTERFACE_VERSION,
    Batch,
    BatchResult,
    Change,
    CompletesRun,
    Contact,
    Destination,
    DestinationSpec,
    Gate,
    Hashing,
    Limits,
    Member,
    Operation,
    Pace,
    Reason,
    Record,
    RemovesMembers,
    RetryPolicy,
    Status,
    Sync,
    SyncReport,
    SyncState,
)
from fed_audience.activation.plan import plan
from fed_audience.activation.sync import run
from fed_audience.errors import DestinationError
from fed_audience.testing.needles import Haystack
from fed_audience.warehouse.duckdb import DuckDbWarehouse

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from fed_audience.activation.gate import Verdict

AS_OF = datetime(2026, 10, 1)  # noqa: DTZ001 - warehouse times are naive UTC


class Fault(StrEnum):
    """What a tool may do to the next call."""

    REJECT_FIRST = "one record is refused by name, the rest is taken"
    REFUSE_BATCH = "the batch is refused without saying which record"
    RATE_LIMIT = "the rate limit is reached; wait one second"
    UNAVAILABLE = "the tool is out of order"
    CUT_AFTER = "the call is taken, and the connection ends before the answer"
    FORBIDDEN = "the credentials are refused"


class DestinationHarness(Protocol):
    """A destination, and what plays the tool's part."""

    destination: Destination
    purpose: str
    faults: Collection[Fault]

    def provoke(self, fault: Fault) -> None:
        """Make the next call, and it alone, meet ``fault``."""
        ...

    def members(self) -> Collection[str]:
        """Return the keys of the people whom the tool holds."""
        ...

    def bodies(self) -> Sequence[bytes]:
        """Return everything that was sent to the tool so far."""
        ...


class _Verdict:
    rule = "granted"

    def __init__(self, *, allowed: bool) -> None:
        self.allowed = allowed


class _Consent:
    """Everybody agrees but those who are named."""

    def __init__(self) -> None:
        self.denied: set[str] = set()

    def allowed(
        self, subject_ids: Sequence[str], purpose: str, as_of: datetime
    ) -> dict[str, Verdict]:
        del purpose, as_of
        return {one: _Verdict(allowed=one not in self.denied) for one in subject_ids}


class _Bench:
    """Runs whole syncs through the harness's destination."""

    def __init__(self, harness: DestinationHarness) -> None:
        self.harness = harness
        self.consent = _Consent()
        self.waits: list[float] = []
        self.warehouse = DuckDbWarehouse(None)
        self.sync = Sync("contract", "members", "tool", harness.purpose)

    def send(
        self, people: Sequence[Member], *, gate: Gate | None = None, retry_refused: bool = False
    ) -> SyncReport:
        state = SyncState(self.warehouse, self.sync, SecretStr("a secret of the contract's tests"))
        destination = self.harness.destination
        contacts = [Contact(one.customer_id, one.email, one.phone) for one in self.everybody()]
        planned = plan(
            people,
            contacts,
            state,
            gate or self.consent,
            destination.spec,
            AS_OF,
            confirm_removals=True,
            retry_refused=retry_refused,
        )
        return run(
            planned,
            destination,
            state,
            self.consent,
            pace=Pace(Limits(), sleep=lambda _: None),
            policy=RetryPolicy(sleep=self.waits.append),
        )

    def everybody(self, count: int = 8) -> list[Member]:
        return [
            Member(
                f"canary-customer-{number}",
                f"canary.{number}@mail.example",
                f"+4930123450{number}",
                {"score": (number + 1) / 16},
            )
            for number in range(count)
        ]

    def keys(self, people: Sequence[Member]) -> set[str]:
        state = SyncState(self.warehouse, self.sync, SecretStr("a secret of the contract's tests"))
        return {state.keys.record_key(one.customer_id) for one in people}


class DestinationContract:
    """Inherit it and give the fixture ``harness``."""

    @pytest.fixture
    def harness(self) -> DestinationHarness:
        """Return a harness around a tool that holds nobody."""
        raise NotImplementedError

    @pytest.fixture
    def bench(self, harness: DestinationHarness) -> _Bench:
        """Whole syncs through the harness."""
        return _Bench(harness)

    def test_the_specification_is_complete(self, harness: DestinationHarness) -> None:
        spec = harness.destination.spec
        assert isinstance(spec, DestinationSpec)
        assert spec.interface == INTERFACE_VERSION
        assert spec.name
        assert spec.purposes
        assert spec.serves(harness.purpose)
        assert isinstance(harness.destination, Destination)
        assert isinstance(harness.destination, RemovesMembers)

    def test_an_unknown_setting_is_refused(self, harness: DestinationHarness) -> None:
        config = harness.destination.spec.config
        assert config.model_config.get("extra") == "forbid"

    def test_the_audience_arrives_once(self, bench: _Bench) -> None:
        people = bench.everybody()
        assert bench.send(people).added == len(people)
        assert set(bench.harness.members()) == bench.keys(people)
        count = len(bench.harness.bodies())
        again = bench.send(people)
        assert (again.sent, again.requests) == (0, 0)
        assert len(bench.harness.bodies()) == count

    def test_there_is_one_outcome_for_each_record(self, harness: DestinationHarness) -> None:
        records = tuple(_record(number) for number in range(5))
        for operation in Operation:
            result = _call(harness.destination, _batch(operation, records))
            result.checked(_batch(operation, records), harness.destination.spec.name)
            assert {one.status for one in result.outcomes} == {Status.OK}

    def test_who_leaves_is_removed_and_the_rest_stays(self, bench: _Bench) -> None:
        people = bench.everybody()
        bench.send(people)
        assert bench.send(people[1:]).removed == 1
        assert set(bench.harness.members()) == bench.keys(people[1:])

    def test_removing_somebody_absent_is_no_fault(self, harness: DestinationHarness) -> None:
        batch = _batch(Operation.REMOVE, (_record(1, Change.EXITED),))
        result = _call(harness.destination, batch)
        assert [one.status for one in result.outcomes] == [Status.OK]

    def test_a_withdrawal_is_removed_and_never_sent_again(self, bench: _Bench) -> None:
        people = bench.everybody()
        bench.send(people)
        bench.consent.denied = {people[0].customer_id}
        assert bench.send(people).withdrawn == 1
        assert set(bench.harness.members()) == bench.keys(people[1:])
        count = len(bench.harness.bodies())
        changed = [replace(one, attributes={"score": 0.99}) for one in people]
        bench.send(changed)
        haystack = Haystack([people[0].customer_id, *bench.keys(people[:1])])
        later = bench.harness.bodies()[count:]
        assert [find for body in later for find in haystack.search(body)] == []

    def test_nobody_without_consent_is_in_any_body(self, bench: _Bench) -> None:
        people = bench.everybody()
        bench.consent.denied = {one.customer_id for one in people[:4]}
        bench.send(people)
        denied = [str(getattr(one, name)) for one in people[:4] for name in ("email", "phone")]
        haystack = Haystack([*denied, *bench.keys(people[:4])])
        assert [find for body in bench.harness.bodies() for find in haystack.search(body)] == []

    def test_the_same_batch_twice_does_no_harm(self, harness: DestinationHarness) -> None:
        if not harness.destination.spec.idempotent:
            pytest.skip("the destination says that it is not idempotent")
        batch = _batch(Operation.UPSERT, tuple(_record(number) for number in range(3)))
        for _ in range(2):
            result = _call(harness.destination, batch)
            assert {one.status for one in result.outcomes} == {Status.OK}
        if isinstance(harness.destination, CompletesRun):
            harness.destination.complete(batch.sync)
        assert len(harness.members()) == len(batch.records)

    def test_calls_keep_to_the_limits(self, bench: _Bench) -> None:
        destination = bench.harness.destination
        destination.spec = replace(
            destination.spec, limits=replace(destination.spec.limits, max_rows=3)
        )
        assert bench.send(bench.everybody(8)).requests == 3  # noqa: PLR2004 - 3 + 3 + 2
        largest = max((len(body) for body in bench.harness.bodies()), default=0)
        assert largest <= destination.spec.limits.max_bytes + 1024

    def test_hashed_identifiers_never_leave_in_the_clear(self, bench: _Bench) -> None:
        rules = bench.harness.destination.spec.identifiers
        plain = {rule.kind for rule in rules if rule.hashing is Hashing.NONE}
        people = bench.everybody()
        bench.send(people)
        secret = [
            str(getattr(one, kind))
            for one in people
            for kind in ("email", "phone", "customer_id")
            if kind not in plain
        ]
        if not secret:
            pytest.skip("every identifier is sent in the clear, as it is configured")
        haystack = Haystack(secret)
        assert [find for body in bench.harness.bodies() for find in haystack.search(body)] == []

    def test_logs_hold_no_personal_data(
        self, bench: _Bench, caplog: pytest.LogCaptureFixture
    ) -> None:
        people = bench.everybody()
        with caplog.at_level(logging.DEBUG):
            if Fault.REJECT_FIRST in bench.harness.faults:
                bench.harness.provoke(Fault.REJECT_FIRST)
            bench.send(people)
            bench.send(people[1:])
        logged = "\n".join(record.getMessage() for record in caplog.records)
        assert logged, "the run must leave a line in the log"
        for one in people:
            for secret in (one.customer_id, one.email, one.phone):
                assert str(secret) not in logged

    def test_a_rejected_record_is_told_from_the_others(self, bench: _Bench) -> None:
        people = bench.everybody()
        self._provoke(bench, Fault.REJECT_FIRST)
        report = bench.send(people)
        assert (report.added, report.rejected) == (len(people) - 1, 1)
        assert len(bench.harness.members()) == len(people) - 1
        assert bench.send(people, retry_refused=True).added == 1

    def test_a_refused_batch_is_halved_and_nobody_is_lost(self, bench: _Bench) -> None:
        people = bench.everybody()
        self._provoke(bench, Fault.REFUSE_BATCH)
        report = bench.send(people)
        assert (report.added, report.rejected) == (len(people), 0)
        assert set(bench.harness.members()) == bench.keys(people)

    def test_a_rate_limit_is_waited_for(self, bench: _Bench) -> None:
        people = bench.everybody()
        self._provoke(bench, Fault.RATE_LIMIT)
        assert bench.send(people).added == len(people)
        assert bench.waits == [1.0]

    @pytest.mark.parametrize("fault", [Fault.UNAVAILABLE, Fault.CUT_AFTER])
    def test_a_passing_fault_is_repeated_until_it_passes(self, bench: _Bench, fault: Fault) -> None:
        people = bench.everybody()
        self._provoke(bench, fault)
        report = bench.send(people)
        assert (report.added, report.retries) == (len(people), 1)
        assert set(bench.harness.members()) == bench.keys(people)
        assert len(set(bench.harness.bodies())) == 1

    def test_refused_credentials_stop_everything(self, bench: _Bench) -> None:
        people = bench.everybody()
        self._provoke(bench, Fault.FORBIDDEN)
        with pytest.raises(DestinationError) as caught:
            bench.send(people)
        assert "\n" not in str(caught.value)
        assert not bench.harness.members()
        assert bench.send(people).added == len(people)

    @staticmethod
    def _provoke(bench: _Bench, fault: Fault) -> None:
        if fault not in bench.harness.faults:
            pytest.skip(f"this tool cannot meet it: {fault.value}")
        bench.harness.provoke(fault)


def _record(number: int, change: Change = Change.ENTERED) -> Record:
    exited = change is Change.EXITED
    return Record(
        key=f"{number:032x}",
        change=change,
        identifiers={} if exited else {"email": f"canary.{number}@mail.example"},
        attributes={} if exited else {"score": number / 8},
        reason=Reason.LEFT if exited else None,
        event_id=f"{change.value}-{number}",
    )


def _batch(operation: Operation, records: tuple[Record, ...]) -> Batch:
    sync = Sync("contract", "members", "tool", "activate:email")
    if operation is Operation.REMOVE:
        records = tuple(
            replace(one, change=Change.EXITED, reason=Reason.LEFT, identifiers={}, attributes={})
            for one in records
        )
    return Batch(sync, operation, f"contract-{operation.value}", records)


def _call(destination: Destination, batch: Batch) -> BatchResult:
    if batch.operation is Operation.UPSERT:
        return destination.upsert(batch)
    assert isinstance(destination, RemovesMembers)
    return destination.remove(batch)

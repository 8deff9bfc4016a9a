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

import pytest

from fed_audience.activation import (
    INTERFACE_VERSION,
    Batch,
    BatchResult,
    Change,
    CompletesRun,
    Destination,
    DestinationSpec,
    Hashing,
    Operation,
    Reason,
    Record,
    RemovesMembers,
    Status,
    Sync,
)
from fed_audience.errors import DestinationError
from fed_audience.testing.harness import DestinationHarness, Fault, SyncBench
from fed_audience.testing.needles import Haystack


class DestinationContract:
    """Inherit it and give the fixture ``harness``."""

    @pytest.fixture
    def harness(self) -> DestinationHarness:
        """Return a harness around a tool that holds nobody."""
        raise NotImplementedError

    @pytest.fixture
    def bench(self, harness: DestinationHarness) -> SyncBench:
        """Whole syncs through the harness."""
        return SyncBench(harness)

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

    def test_the_audience_arrives_once(self, bench: SyncBench) -> None:
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

    def test_who_leaves_is_removed_and_the_rest_stays(self, bench: SyncBench) -> None:
        people = bench.everybody()
        bench.send(people)
        assert bench.send(people[1:]).removed == 1
        assert set(bench.harness.members()) == bench.keys(people[1:])

    def test_removing_somebody_absent_is_no_fault(self, harness: DestinationHarness) -> None:
        batch = _batch(Operation.REMOVE, (_record(1, Change.EXITED),))
        result = _call(harness.destination, batch)
        assert [one.status for one in result.outcomes] == [Status.OK]

    def test_a_withdrawal_is_removed_and_never_sent_again(self, bench: SyncBench) -> None:
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

    def test_nobody_without_consent_is_in_any_body(self, bench: SyncBench) -> None:
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

    def test_calls_keep_to_the_limits(self, bench: SyncBench) -> None:
        destination = bench.harness.destination
        destination.spec = replace(
            destination.spec, limits=replace(destination.spec.limits, max_rows=3)
        )
        assert bench.send(bench.everybody(8)).requests == 3  # noqa: PLR2004 - 3 + 3 + 2
        largest = max((len(body) for body in bench.harness.bodies()), default=0)
        assert largest <= destination.spec.limits.max_bytes + 1024

    def test_hashed_identifiers_never_leave_in_the_clear(self, bench: SyncBench) -> None:
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
        self, bench: SyncBench, caplog: pytest.LogCaptureFixture
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

    def test_a_rejected_record_is_told_from_the_others(self, bench: SyncBench) -> None:
        people = bench.everybody()
        self._provoke(bench, Fault.REJECT_FIRST)
        report = bench.send(people)
        assert (report.added, report.rejected) == (len(people) - 1, 1)
        assert len(bench.harness.members()) == len(people) - 1
        assert bench.send(people, retry_refused=True).added == 1

    def test_a_refused_batch_is_halved_and_nobody_is_lost(self, bench: SyncBench) -> None:
        people = bench.everybody()
        self._provoke(bench, Fault.REFUSE_BATCH)
        report = bench.send(people)
        assert (report.added, report.rejected) == (len(people), 0)
        assert set(bench.harness.members()) == bench.keys(people)

    def test_a_rate_limit_is_waited_for(self, bench: SyncBench) -> None:
        people = bench.everybody()
        self._provoke(bench, Fault.RATE_LIMIT)
        assert bench.send(people).added == len(people)
        assert bench.waits == [1.0]

    @pytest.mark.parametrize("fault", [Fault.UNAVAILABLE, Fault.CUT_AFTER])
    def test_a_passing_fault_is_repeated_until_it_passes(
        self, bench: SyncBench, fault: Fault
    ) -> None:
        people = bench.everybody()
        self._provoke(bench, fault)
        report = bench.send(people)
        assert (report.added, report.retries) == (len(people), 1)
        assert set(bench.harness.members()) == bench.keys(people)
        assert len(set(bench.harness.bodies())) == 1

    def test_refused_credentials_stop_everything(self, bench: SyncBench) -> None:
        people = bench.everybody()
        self._provoke(bench, Fault.FORBIDDEN)
        with pytest.raises(DestinationError) as caught:
            bench.send(people)
        assert "\n" not in str(caught.value)
        assert not bench.harness.members()
        assert bench.send(people).added == len(people)

    @staticmethod
    def _provoke(bench: SyncBench, fault: Fault) -> None:
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

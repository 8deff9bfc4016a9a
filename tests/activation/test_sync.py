"""A sync over real HTTP, with state in a real warehouse."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from fed_audience.activation import Batch, BatchResult, Limits, Pace, RetryPolicy, Status
from fed_audience.activation.sync import run
from fed_audience.errors import ConsentError, DestinationError, RunInterrupted
from fed_audience.testing import Answer, Cut


def events(body: bytes) -> list[dict[str, Any]]:
    return list(json.loads(body)["events"])


def test_the_audience_arrives_and_a_repeated_sync_sends_nothing(brand: Any) -> None:
    ids = brand.customers(30)
    report = brand.send(brand.members(ids))
    assert (report.added, report.requests, report.status) == (30, 1, "succeeded")
    assert brand.present() == set(ids)

    again = brand.send(brand.members(ids))
    assert (again.sent, again.requests, again.unchanged) == (0, 0, 30)
    assert len(brand.receiver.bodies) == 1


def test_only_what_changed_is_sent(brand: Any) -> None:
    ids = brand.customers(10)
    brand.send(brand.members(ids))
    report = brand.send([*brand.members(ids[:1], score=0.9), *brand.members(ids[1:])])
    assert (report.updated, report.unchanged) == (1, 9)
    (event,) = events(brand.receiver.bodies[-1])
    assert event["type"] == "audience.updated"
    assert event["attributes"] == {"score": 0.9}


def test_who_leaves_the_audience_is_removed_by_id_alone(brand: Any) -> None:
    ids = brand.customers(10)
    brand.send(brand.members(ids))
    report = brand.send(brand.members(ids[1:]))
    assert report.removed == 1
    (event,) = events(brand.receiver.bodies[-1])
    assert event == {
        "event_id": event["event_id"],
        "type": "audience.exited",
        "id": brand.key(ids[0]),
        "reason": "left_audience",
    }
    assert brand.present() == set(ids[1:])


@pytest.mark.parametrize("audience_size", [10, 8])
def test_a_withdrawal_is_removed_and_appears_in_no_further_payload(
    brand: Any, audience_size: int
) -> None:
    ids = brand.customers(10)
    brand.send(brand.members(ids))
    brand.withdraw(ids[:2])
    sent_before = len(brand.receiver.bodies)
    report = brand.send(brand.members(ids[-audience_size:], score=0.9))
    assert report.withdrawn == 2
    assert brand.present() == set(ids[2:])

    removal, *rest = brand.receiver.bodies[sent_before:]
    assert {event["id"] for event in events(removal)} == {brand.key(one) for one in ids[:2]}
    assert {event["reason"] for event in events(removal)} == {"consent"}
    brand.send(brand.members(ids, score=0.1))
    for body in [*rest, *brand.receiver.bodies[sent_before + 1 :]]:
        for one in ids[:2]:
            assert one.encode() not in body
            assert brand.key(one).encode() not in body


def test_withdrawals_go_before_everything_else(brand: Any) -> None:
    ids = brand.customers(12)
    brand.send(brand.members(ids[:10]))
    brand.withdraw(ids[9:10])
    brand.send(brand.members([*ids[1:9], *ids[10:]], score=0.9))
    types = [events(body)[0].get("reason") for body in brand.receiver.bodies[1:]]
    assert types == ["consent", "left_audience", None]


def test_a_withdrawal_passes_the_guard_that_blocks_removals(brand: Any) -> None:
    ids = brand.customers(10)
    brand.send(brand.members(ids))
    brand.withdraw(ids[:1])
    report = brand.send([])
    assert (report.withdrawn, report.removed, report.held_back) == (1, 0, 9)
    assert report.status == "blocked"
    assert brand.present() == set(ids[1:])
    confirmed = brand.send([], confirm_removals=True)
    assert confirmed.removed == 9
    assert brand.present() == set()


def test_withdrawn_between_plan_and_batch_is_dropped(small_batches: Any) -> None:
    brand = small_batches
    ids = brand.customers(8)
    planned = brand.plan(brand.members(ids))
    brand.withdraw(ids[:3])
    report = brand.run(planned)
    assert (report.added, report.dropped) == (5, {"withdrawn": 3})
    for body in brand.receiver.bodies:
        for one in ids[:3]:
            assert one.encode() not in body
            assert brand.key(one).encode() not in body


def test_withdrawn_during_the_run_is_dropped_from_later_batches(small_batches: Any) -> None:
    brand = small_batches
    ids = brand.customers(8)
    planned = brand.plan(brand.members(ids))
    last = next(one for one in ids if brand.key(one) == max(map(brand.key, ids)))
    # Question 1 was the plan's, 2 is the first batch's, 3 the second's.
    brand.gate.before_answer = lambda question: brand.withdraw([last]) if question == 3 else None
    report = brand.run(planned)
    assert report.dropped == {"withdrawn": 1}
    assert brand.present() == set(ids) - {last}


def test_an_update_whose_consent_went_meanwhile_becomes_a_removal_at_once(brand: Any) -> None:
    ids = brand.customers(5)
    brand.send(brand.members(ids))
    planned = brand.plan(brand.members(ids, score=0.9))
    brand.withdraw(ids[:1])
    report = brand.run(planned)
    assert (report.withdrawn, report.updated, report.dropped) == (1, 4, {"withdrawn": 1})
    removal, update = brand.receiver.bodies[-2:]
    assert [event["id"] for event in events(removal)] == [brand.key(ids[0])]
    assert brand.key(ids[0]).encode() not in update
    assert brand.present() == set(ids[1:])


def test_consent_is_asked_as_of_the_clock_before_each_batch(brand: Any) -> None:
    ids = brand.customers(1)
    planned = brand.plan(brand.members(ids))
    asked = []
    honest = brand.gate.allowed

    class Asking:
        def allowed(self, subject_ids: Any, purpose: str, as_of: Any) -> Any:
            asked.append(as_of)
            return honest(subject_ids, purpose, as_of)

    brand.gate = Asking()
    later = planned.as_of.replace(hour=7)
    brand.run(planned, clock=lambda: later)
    assert asked == [later]


def test_a_person_unknown_to_the_warehouse_is_removed_by_the_id_sent_before(brand: Any) -> None:
    ids = brand.customers(10)
    brand.send(brand.members(ids))
    key = brand.key(ids[0])
    del brand.contacts[ids[0]]
    report = brand.send(brand.members(ids[1:]))
    assert report.removed == 1
    (event,) = events(brand.receiver.bodies[-1])
    assert (event["id"], event["reason"]) == (key, "unknown_person")


def test_who_comes_back_is_sent_again_under_another_idempotency_key(brand: Any) -> None:
    ids = brand.customers(1)
    brand.send(brand.members(ids))
    brand.withdraw(ids)
    brand.send(brand.members(ids))
    brand.grant(ids)
    brand.send(brand.members(ids))
    keys = [request.key for request in brand.receiver.requests]
    assert len(set(keys)) == 3
    assert brand.present() == set(ids)


class CrashError(Exception):
    pass


def test_a_crash_between_send_and_commit_resends_without_doing_it_twice(
    small_batches: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    brand = small_batches
    ids = brand.customers(10)
    state = brand.state()
    honest, calls = state.write, []

    def write(rows: Any, **more: Any) -> None:
        calls.append(1)
        if len(calls) == 4:  # intend, settle, intend, then the crash instead of settle
            raise CrashError
        honest(rows, **more)

    monkeypatch.setattr(state, "write", write)
    planned = brand.plan(brand.members(ids))
    with pytest.raises(CrashError):
        run(planned, brand.destination(), state, brand.gate, pace=Pace(Limits()))
    assert len(brand.receiver.members()) == 8

    report = brand.send(brand.members(ids))
    assert report.added == 6
    assert brand.receiver.inbox.replays == 1
    assert [request.key for request in brand.receiver.requests][1] == brand.receiver.requests[2].key
    applied = [event["id"] for event in brand.receiver.inbox.events]
    assert len(applied) == len(set(applied)) == 10
    assert brand.send(brand.members(ids)).sent == 0


def test_consent_withdrawn_after_a_crash_removes_what_may_have_arrived(
    brand: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = brand.customers(3)
    state = brand.state()
    honest, calls = state.write, []

    def write(rows: Any, **more: Any) -> None:
        calls.append(1)
        if len(calls) == 2:
            raise CrashError
        honest(rows, **more)

    monkeypatch.setattr(state, "write", write)
    with pytest.raises(CrashError):
        run(brand.plan(brand.members(ids)), brand.destination(), state, brand.gate)
    assert brand.present() == set(ids)
    brand.withdraw(ids[:1])
    report = brand.send(brand.members(ids))
    assert (report.withdrawn, report.added) == (1, 2)
    assert brand.present() == set(ids[1:])


def test_a_rate_limit_waits_as_long_as_asked_and_uses_no_attempt(brand: Any) -> None:
    ids = brand.customers(3)
    brand.receiver.answer_next(*[Answer(429, headers={"Retry-After": "7"})] * 8)
    report = brand.send(brand.members(ids))
    assert (report.added, report.retries) == (3, 8)
    assert brand.waits == [7.0] * 8


def test_a_rate_limit_without_end_is_given_up(brand: Any) -> None:
    ids = brand.customers(3)
    brand.receiver.answer_next(Answer(429, headers={"Retry-After": "3600"}))
    with pytest.raises(DestinationError, match="3600 s more"):
        brand.send(brand.members(ids))
    assert brand.waits == []
    assert brand.send(brand.members(ids)).added == 3


def test_server_errors_are_retried_with_the_same_key(brand: Any) -> None:
    ids = brand.customers(3)
    brand.receiver.answer_next(Answer(500), Answer(503, headers={"Retry-After": "2"}), Answer(502))
    report = brand.send(brand.members(ids))
    assert (report.added, report.retries) == (3, 3)
    assert len({request.key for request in brand.receiver.requests}) == 1
    assert brand.waits[1] == 2.0


def test_a_destination_that_stays_down_ends_the_run_and_the_next_sends_the_rest(
    small_batches: Any,
) -> None:
    brand = small_batches
    ids = brand.customers(8)
    planned = brand.plan(brand.members(ids))
    # The first batch arrives, the second never does.
    brand.gate.before_answer = lambda question: (
        brand.receiver.answer_next(*[Answer(500)] * 6) if question == 3 else None
    )
    with pytest.raises(DestinationError, match="http_500") as caught:
        brand.run(planned)
    assert "6 attempts" in str(caught.value)
    brand.gate.before_answer = lambda _: None
    assert brand.send(brand.members(ids)).added == 4
    assert brand.present() == set(ids)


@pytest.mark.parametrize("cut", [Cut.BEFORE, Cut.AFTER])
def test_a_cut_connection_is_unknown_and_resent_with_the_same_key(brand: Any, cut: Cut) -> None:
    ids = brand.customers(3)
    brand.receiver.answer_next(cut)
    report = brand.send(brand.members(ids))
    assert report.added == 3
    first, second = brand.receiver.requests
    assert (first.key, first.body) == (second.key, second.body)
    assert len(brand.receiver.inbox.events) == 3
    assert brand.receiver.inbox.replays == (cut is Cut.AFTER)


def test_an_unreachable_destination_sends_nothing_and_keeps_everything_open(brand: Any) -> None:
    ids = brand.customers(2)
    brand.settings["url"] = "http://127.0.0.1:9/audience"
    with pytest.raises(DestinationError, match="unreachable"):
        brand.send(brand.members(ids))
    brand.settings["url"] = brand.receiver.url
    assert brand.send(brand.members(ids)).added == 2


def test_a_2xx_with_rejected_rows_is_no_success_for_them(brand: Any) -> None:
    ids = brand.customers(5)
    bad = brand.key(ids[2])
    brand.receiver.inbox.reject = lambda event: (
        f"invalid address {ids[2]}@mail.example" if event["id"] == bad else None
    )
    report = brand.send(brand.members(ids))
    assert (report.added, report.rejected, report.status) == (4, 1, "partial")
    (row,) = brand.warehouse.query("SELECT * FROM fed_audience.sync_reject").to_pylist()
    assert (row["record_key"], row["code"]) == (bad, "refused")
    assert row["reason"] == "invalid address (withheld)"

    again = brand.send(brand.members(ids))
    assert (again.requests, again.refused_before) == (0, 1)
    brand.receiver.inbox.reject = lambda _: None
    assert brand.send(brand.members(ids)).requests == 0
    assert brand.send(brand.members(ids), retry_refused=True).added == 1
    assert brand.warehouse.query("SELECT * FROM fed_audience.sync_reject").num_rows == 0


class Poisoned:
    """A destination that refuses any batch holding a poisoned key, without saying which."""

    def __init__(self, honest: Any, poison: set[str]) -> None:
        self.spec, self._honest, self._poison = honest.spec, honest, poison
        self.calls = 0

    def upsert(self, batch: Batch) -> BatchResult:
        self.calls += 1
        if any(record.key in self._poison for record in batch.records):
            return BatchResult.refused(batch, code="http_400")
        result: BatchResult = self._honest.upsert(batch)
        return result

    def remove(self, batch: Batch) -> BatchResult:
        result: BatchResult = self._honest.remove(batch)
        return result


def test_a_poisoned_batch_is_halved_until_only_the_bad_rows_are_refused(brand: Any) -> None:
    ids = brand.customers(32)
    destination = Poisoned(brand.destination(), {brand.key(ids[3]), brand.key(ids[17])})
    report = brand.run(brand.plan(brand.members(ids)), destination)
    assert (report.added, report.rejected) == (30, 2)
    assert destination.calls < 25
    assert brand.present() == set(ids) - {ids[3], ids[17]}


def test_a_destination_that_refuses_everything_is_a_fault_of_configuration(brand: Any) -> None:
    ids = brand.customers(64)
    destination = Poisoned(brand.destination(), {brand.key(one) for one in ids})
    with pytest.raises(DestinationError, match="one record after another"):
        brand.run(brand.plan(brand.members(ids)), destination)
    assert destination.calls < 64


def test_refused_credentials_stop_the_run_in_one_line(brand: Any, monkeypatch: Any) -> None:
    ids = brand.customers(2)
    monkeypatch.setenv("TEST_WEBHOOK_SECRET", "another secret of some length")
    with pytest.raises(DestinationError, match="HTTP 401") as caught:
        brand.send(brand.members(ids))
    assert "\n" not in str(caught.value)
    (row,) = brand.warehouse.query("SELECT status, message FROM fed_audience.sync_run").to_pylist()
    assert row["status"] == "failed"


def test_a_withdrawal_that_the_destination_refuses_fails_loudly_and_is_tried_again(
    brand: Any,
) -> None:
    ids = brand.customers(10)
    brand.send(brand.members(ids))
    brand.withdraw(ids[:1])
    brand.receiver.inbox.reject = lambda event: (
        "not now" if event["type"] == "audience.exited" else None
    )
    with pytest.raises(DestinationError, match="1 withdrawals open"):
        brand.send(brand.members(ids))
    brand.receiver.inbox.reject = lambda _: None
    assert brand.send(brand.members(ids)).withdrawn == 1


def test_a_stale_ledger_stops_the_run_before_the_batch(brand: Any) -> None:
    ids = brand.customers(2)
    planned = brand.plan(brand.members(ids))

    def fail(_: int) -> None:
        raise ConsentError("the ledger is stale")

    brand.gate.before_answer = fail
    with pytest.raises(ConsentError):
        brand.run(planned)
    assert brand.receiver.bodies == []


def test_ctrl_c_keeps_what_was_acknowledged(small_batches: Any) -> None:
    brand = small_batches
    ids = brand.customers(8)
    planned = brand.plan(brand.members(ids))

    def interrupt(question: int) -> None:
        if question == 3:
            raise KeyboardInterrupt

    brand.gate.before_answer = interrupt
    with pytest.raises(RunInterrupted, match="4 of 8"):
        brand.run(planned)
    brand.gate.before_answer = lambda _: None
    assert brand.send(brand.members(ids)).added == 4


def test_a_destination_that_answers_for_too_few_records_writes_no_state(brand: Any) -> None:
    ids = brand.customers(3)

    class Forgetful(Poisoned):
        def upsert(self, batch: Batch) -> BatchResult:
            return BatchResult(BatchResult.accepted(batch).outcomes[:-1])

    with pytest.raises(DestinationError, match="2 outcomes for 3 records"):
        brand.run(brand.plan(brand.members(ids)), Forgetful(brand.destination(), set()))
    assert not any(row.in_audience for row in brand.state().load().values())


def test_an_unknown_outcome_is_not_repeated_where_sending_twice_does_harm(brand: Any) -> None:
    ids = brand.customers(2)

    class Fragile(Poisoned):
        def upsert(self, batch: Batch) -> BatchResult:
            self.calls += 1
            return BatchResult.same(batch, Status.UNKNOWN, code="connection_cut")

    destination = Fragile(brand.destination(), set())
    destination.spec = replace(destination.spec, idempotent=False)
    report = brand.run(brand.plan(brand.members(ids)), destination)
    assert (destination.calls, report.unresolved, report.status) == (1, 2, "partial")


def test_a_destination_that_cannot_remove_is_never_sent_to(brand: Any) -> None:
    ids = brand.customers(1)
    honest = brand.destination()

    class Append:
        spec = honest.spec
        upsert = honest.upsert

    with pytest.raises(DestinationError, match="cannot remove"):
        brand.run(brand.plan(brand.members(ids)), Append())
    assert brand.receiver.bodies == []


def test_progress_says_what_is_done_and_why_it_waits(small_batches: Any) -> None:
    brand = small_batches
    ids = brand.customers(6)
    brand.receiver.answer_next(Answer(503, headers={"Retry-After": "3"}))
    seen: list[Any] = []
    brand.run(brand.plan(brand.members(ids)), on_event=seen.append)
    assert [getattr(one, "done", "wait") for one in seen] == ["wait", 4, 6]
    assert (seen[0].seconds, seen[0].code) == (3.0, "http_503")


def test_waits_grow_with_jitter_and_stay_below_their_bound(brand: Any) -> None:
    ids = brand.customers(1)
    brand.receiver.answer_next(*[Answer(500)] * 5)
    policy = RetryPolicy(first_wait=1.0, widest_wait=4.0, sleep=brand.waits.append)
    brand.run(brand.plan(brand.members(ids)), policy=policy)
    assert len(brand.waits) == 5
    for wait, bound in zip(brand.waits, (1.0, 2.0, 4.0, 4.0, 4.0), strict=True):
        assert 0.0 <= wait <= bound


def test_a_removal_for_another_reason_is_another_event(brand: Any) -> None:
    ids = brand.customers(10)
    brand.send(brand.members(ids))
    brand.receiver.answer_next(*[Cut.AFTER] * 6)
    with pytest.raises(DestinationError, match="connection_cut"):
        brand.send(brand.members(ids[1:]))
    brand.withdraw(ids[:1])
    report = brand.send(brand.members(ids[1:]))
    assert (report.withdrawn, report.rejected) == (1, 0)

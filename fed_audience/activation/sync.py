"""Carries a plan out: withdrawals, removals, then additions, each acknowledged before it counts.

Delivery is at least once. A run that ends early, even by a crash, leaves state that says only
what was acknowledged, so planning again yields exactly the rest.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING

from fed_audience.activation.batching import batch_of, in_batches
from fed_audience.activation.delivery import Delivery, RetryPolicy
from fed_audience.activation.destination import (
    Batch,
    Change,
    CompletesRun,
    Destination,
    Operation,
    Outcome,
    Reason,
    RemovesMembers,
    Status,
)
from fed_audience.activation.difference import PlannedRecord, exit_record
from fed_audience.activation.gate import Gate, ask
from fed_audience.activation.limits import pace_of
from fed_audience.activation.report import BatchSettled, SyncEvent, SyncReport, Waiting
from fed_audience.activation.scrubbing import scrubbed
from fed_audience.activation.state import Rejection, StateRow, SyncState
from fed_audience.errors import DestinationError, RunInterrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from fed_audience.activation.limits import Pace
    from fed_audience.activation.plan import Plan

log = logging.getLogger(__name__)


def run(
    plan: Plan,
    destination: Destination,
    state: SyncState,
    gate: Gate,
    *,
    clock: Callable[[], datetime] | None = None,
    pace: Pace | None = None,
    policy: RetryPolicy | None = None,
    on_event: Callable[[SyncEvent], None] | None = None,
) -> SyncReport:
    """Send what ``plan`` holds and return one outcome for everybody in it.

    Consent is asked again just before each batch, as of ``clock()`` (naive UTC; the plan's
    ``as_of`` without a clock). Whoever lost it is dropped, and removed at once if the
    destination holds them. ``pace`` is shared by everything that uses the same account;
    by default one per destination name.

    Raises DestinationError when the destination takes nothing more, or did not confirm a
    withdrawal; ConsentError when consent cannot be read; RunInterrupted on Ctrl-C. State is
    right in each case, and the next run sends the rest.
    """
    if not isinstance(destination, RemovesMembers):
        raise DestinationError(
            f"destination type '{destination.spec.name}' cannot remove people",
            looked=plan.sync.id,
            fix="choose a destination that can; otherwise a withdrawal could not be honoured",
        )
    return _Run(
        plan,
        destination,
        state,
        gate,
        clock or (lambda: plan.as_of),
        pace or pace_of(plan.sync.destination, destination.spec.limits),
        policy or RetryPolicy(),
        on_event or (lambda _: None),
    ).execute()


@dataclass(slots=True)
class _Tally:
    added: int = 0
    updated: int = 0
    removed: int = 0
    withdrawn: int = 0
    rejected: int = 0
    unresolved: int = 0
    open_withdrawals: int = 0
    done: int = 0
    dropped: Counter[str] = field(default_factory=Counter)


class _Run:
    def __init__(
        self,
        plan: Plan,
        destination: Destination,
        state: SyncState,
        gate: Gate,
        clock: Callable[[], datetime],
        pace: Pace,
        policy: RetryPolicy,
        on_event: Callable[[SyncEvent], None],
    ) -> None:
        self._plan = plan
        self._destination = destination
        self._state = state
        self._gate = gate
        self._clock = clock
        self._on_event = on_event
        self._tally = _Tally()
        self._delivery = Delivery(
            destination, state, pace, policy, lambda wait, code: on_event(Waiting(wait, code))
        )
        self._removals = () if plan.blocked else plan.removals
        self._total = len(plan.withdrawals) + len(self._removals) + len(plan.upserts)
        self._run_id = ""

    def execute(self) -> SyncReport:
        """Send everything, then close the run's row whatever happened."""
        self._run_id = self._state.begin_run(
            connector=f"{self._destination.spec.name}/{self._destination.spec.interface}",
            as_of=self._plan.as_of,
            started_at=self._clock(),
        )
        try:
            self._send_all()
        except KeyboardInterrupt:
            self._close("interrupted")
            raise RunInterrupted(
                "sync interrupted; everything acknowledged so far is recorded",
                value=f"{self._tally.done:,} of {self._total:,} records",
                fix="run it again; it sends the rest",
            ) from None
        except BaseException as error:
            # The type alone: a message from outside may quote a row.
            text = error.what if isinstance(error, DestinationError) else type(error).__name__
            self._close("failed", text)
            raise
        return self._finish()

    def _send_all(self) -> None:
        self._send_exits(self._plan.withdrawals)
        self._send_exits(self._removals)
        for group in in_batches(self._plan.upserts, self._destination):
            self._send_upserts(self._still_consented(group))
        if isinstance(self._destination, CompletesRun):
            self._destination.complete(self._plan.sync)

    def _finish(self) -> SyncReport:
        tally = self._tally
        if tally.open_withdrawals:
            status = "failed"
        elif self._plan.blocked:
            status = "blocked"
        else:
            status = "partial" if tally.rejected or tally.unresolved else "succeeded"
        report = self._close(status)
        if tally.open_withdrawals:
            raise DestinationError(
                f"destination '{self._plan.sync.destination}' did not confirm the removal of people"
                " who withdrew their consent",
                value=f"{tally.open_withdrawals:,} withdrawals open",
                looked=f"sync_reject, run {self._run_id}",
                fix="run the sync again; if it refuses again, delete the audience there",
            )
        return report

    def _still_consented(self, group: list[PlannedRecord]) -> list[PlannedRecord]:
        """Drop whoever lost consent since the plan; remove those whom the destination holds."""
        customers = [one.customer_id for one in group if one.customer_id is not None]
        consent = ask(self._gate, customers, self._plan.sync.purpose, self._clock())
        kept, exits = [], []
        for one in group:
            rule = consent.denied.get(one.customer_id or "")
            if one.customer_id is not None and rule is None:
                kept.append(one)
                continue
            self._tally.dropped[rule or "no customer"] += 1
            self._total -= 1
            if one.previous.held:
                exits.append(self._withdrawal_of(one))
        self._total += len(exits)
        self._send_exits(exits)
        return kept

    def _withdrawal_of(self, one: PlannedRecord) -> PlannedRecord:
        named = self._destination.spec.removes_by_identifier
        identifiers = one.record.identifiers if named else {}
        record = exit_record(one.previous, Reason.CONSENT, self._state, identifiers)
        return PlannedRecord(record, one.previous, one.customer_id)

    def _send_exits(self, exits: Sequence[PlannedRecord]) -> None:
        for group in in_batches(exits, self._destination):
            self._send(Operation.REMOVE, group)

    def _send_upserts(self, group: list[PlannedRecord]) -> None:
        if not group:
            return
        # Said before it is sent: should we crash now and consent be withdrawn meanwhile, the
        # next run knows that the destination may hold these people, and removes them.
        doubtful = [replace(one.previous, in_doubt=True) for one in group if not one.previous.held]
        self._state.write(doubtful, run_id=self._run_id, at=self._clock())
        self._send(Operation.UPSERT, group)

    def _send(self, operation: Operation, group: list[PlannedRecord]) -> None:
        by_key = {one.record.key: one for one in group}
        batch = batch_of(self._state, operation, [one.record for one in group])
        self._delivery.deliver(
            batch,
            lambda part, outcomes, doubtful: self._settle(
                part, outcomes, by_key, doubtful=doubtful
            ),
        )

    def _settle(
        self,
        batch: Batch,
        outcomes: Sequence[Outcome],
        by_key: Mapping[str, PlannedRecord],
        *,
        doubtful: bool,
    ) -> None:
        """Write what the destination said, in one transaction, then count it."""
        rows, rejections, pairs = [], [], []
        for outcome in outcomes:
            one = by_key[batch.records[outcome.index].key]
            pairs.append((one, outcome.status))
            rows.append(_next_row(one, outcome, doubtful=doubtful))
            if outcome.status is Status.REJECTED:
                rejections.append(_rejection(one, outcome, batch.operation))
        self._state.write(rows, run_id=self._run_id, at=self._clock(), rejections=rejections)
        for one, status in pairs:
            self._count(one, status)
        self._on_event(BatchSettled(self._tally.done, self._total, batch.operation))

    def _count(self, one: PlannedRecord, status: Status) -> None:
        tally, withdrawal = self._tally, one.record.reason is Reason.CONSENT
        tally.done += 1
        if status is Status.OK:
            if withdrawal:
                tally.withdrawn += 1
            elif one.record.change is Change.EXITED:
                tally.removed += 1
            elif one.record.change is Change.ENTERED:
                tally.added += 1
            else:
                tally.updated += 1
            return
        tally.open_withdrawals += withdrawal
        if status is Status.REJECTED:
            tally.rejected += 1
        else:
            tally.unresolved += 1

    def _close(self, status: str, message: str = "") -> SyncReport:
        plan, tally, traffic = self._plan, self._tally, self._delivery.traffic
        report = SyncReport(
            run_id=self._run_id,
            sync_id=plan.sync.id,
            status=status,
            added=tally.added,
            updated=tally.updated,
            removed=tally.removed,
            withdrawn=tally.withdrawn,
            unchanged=plan.unchanged,
            no_identifier=plan.no_identifier,
            refused_before=plan.refused_before,
            rejected=tally.rejected,
            unresolved=tally.unresolved,
            open_withdrawals=tally.open_withdrawals,
            held_back=len(plan.removals) if plan.blocked else 0,
            suppressed=dict(plan.suppressed),
            dropped=dict(tally.dropped),
            requests=traffic.requests,
            retries=traffic.retries,
            bytes_sent=traffic.bytes_sent,
            blocked=plan.blocked,
        )
        self._state.end_run(
            self._run_id,
            status=status,
            ended_at=self._clock(),
            counts=asdict(report),
            message=message,
        )
        log.info("sync %s run %s: %s", plan.sync.id, self._run_id, status)
        return report


def _next_row(one: PlannedRecord, outcome: Outcome, *, doubtful: bool) -> StateRow:
    """Return what is known of a person after an answer."""
    previous = one.previous
    exit_ = one.record.change is Change.EXITED
    if outcome.status is Status.OK:
        return StateRow(
            record_key=previous.record_key,
            in_audience=not exit_,
            version=previous.version + 1,
            fingerprint=one.fingerprint,
            compared=one.compared,
            remote_id=outcome.remote_id or previous.remote_id,
        )
    # Once a send may have arrived, no later refusal of it says that it did not.
    arrived = not exit_ and (doubtful or outcome.status is Status.UNKNOWN)
    return replace(
        previous,
        in_doubt=previous.in_doubt or arrived,
        # A refusal is an answer as well: under the same key the destination would repeat it.
        version=previous.version + (outcome.status is Status.REJECTED),
        attempts=previous.attempts + 1,
        last_code=outcome.code,
    )


def _rejection(one: PlannedRecord, outcome: Outcome, operation: Operation) -> Rejection:
    record = one.record
    told = [record.key, one.customer_id or "", *record.identifiers.values()]
    told += [value for value in record.attributes.values() if isinstance(value, str)]
    return Rejection(
        record_key=record.key,
        operation=operation.value,
        code=scrubbed(outcome.code, told),
        reason=scrubbed(outcome.reason, told),
        fingerprint=one.fingerprint,
    )

"""Gets one batch through: paced, retried, halved when poisoned, settled record by record."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

import tenacity

from fed_audience.activation.batching import batch_of
from fed_audience.activation.destination import (
    Batch,
    BatchResult,
    Destination,
    Operation,
    Outcome,
    RemovesMembers,
    Status,
)
from fed_audience.errors import DestinationError

if TYPE_CHECKING:
    from fed_audience.activation.limits import Pace
    from fed_audience.activation.state import SyncState

Settle: TypeAlias = Callable[[Batch, Sequence[Outcome], bool], None]
"""Hears a batch, its outcomes, and whether an earlier attempt may have arrived all the same."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When to try again. Waits in seconds, with full jitter, unless the tool names its own.

    A rate limit uses up no attempt; ``longest_wait`` bounds all waiting for one batch.
    ``poison_limit`` refusals in a row, with nothing accepted, are taken for a fault of the
    configuration rather than of so many rows.
    """

    attempts: int = 6
    first_wait: float = 0.5
    widest_wait: float = 60.0
    longest_wait: float = 900.0
    poison_limit: int = 16
    sleep: Callable[[float], None] = time.sleep


@dataclass(slots=True)
class Traffic:
    """What went over the wire."""

    requests: int = 0
    retries: int = 0
    bytes_sent: int = 0


@dataclass(slots=True)
class _Pending:
    """What of a batch is still open, and how often it was tried."""

    batch: Batch
    tried: int = 0
    waited: float = 0.0
    last: BatchResult = field(default_factory=lambda: BatchResult(()))
    outcomes: tuple[Outcome, ...] = ()
    settled_some: bool = False
    doubtful: bool = False


class Delivery:
    """Sends batches of one sync to one destination; ``settle`` hears each record's fate once."""

    def __init__(
        self,
        destination: Destination,
        state: SyncState,
        pace: Pace,
        policy: RetryPolicy,
        on_wait: Callable[[float, str], None],
    ) -> None:
        self.traffic = Traffic()
        self._destination = destination
        self._state = state
        self._pace = pace
        self._policy = policy
        self._on_wait = on_wait
        self._refused_in_a_row = 0

    def deliver(self, batch: Batch, settle: Settle) -> None:
        """Send until every record is accepted or refused, or patience ends.

        Raises DestinationError when the destination takes nothing more; what was settled until
        then stays settled.
        """
        self._refused_in_a_row = 0
        self._deliver(_Pending(batch), settle)

    def _deliver(self, pending: _Pending, settle: Settle) -> None:
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_result(lambda open_: open_),
            stop=lambda _: self._out_of_patience(pending),
            wait=lambda attempt: self._wait(pending, attempt),
            sleep=self._policy.sleep,
            retry_error_callback=lambda _: True,
        )
        still_open = retrying(self._attempt, pending, settle)
        if pending.last.unattributed:
            self._halve(pending, settle)
        elif still_open:
            settle(pending.batch, pending.outcomes, pending.doubtful)
            if not pending.settled_some:
                raise self._gave_up(pending)

    def _attempt(self, pending: _Pending, settle: Settle) -> bool:
        """Send what is open, settle what was answered; return whether to try again."""
        batch = pending.batch
        self._pace.acquire()
        self.traffic.requests += 1
        self.traffic.retries += bool(pending.last.outcomes)
        result = self._call(batch)
        self.traffic.bytes_sent += result.bytes_sent
        pending.tried += not result.throttled
        pending.last = result
        if result.unattributed:
            return False
        final: list[Outcome] = []
        again: list[Outcome] = []
        for outcome in result.outcomes:
            (again if self._may_repeat(outcome) else final).append(outcome)
        if final:
            pending.settled_some = True
            records = tuple(batch.records[outcome.index] for outcome in final)
            settle(
                replace(batch, records=records),
                [replace(outcome, index=index) for index, outcome in enumerate(final)],
                pending.doubtful,
            )
            if any(outcome.status is Status.OK for outcome in final):
                self._refused_in_a_row = 0
        if not again:
            return False
        pending.doubtful |= any(outcome.status is Status.UNKNOWN for outcome in again)
        if final:
            rest = [batch.records[outcome.index] for outcome in again]
            pending.batch = batch_of(self._state, batch.operation, rest)
        pending.outcomes = tuple(
            replace(outcome, index=index) for index, outcome in enumerate(again)
        )
        if result.throttled and result.retry_after:
            self._pace.pause(result.retry_after)
        return True

    def _call(self, batch: Batch) -> BatchResult:
        destination = self._destination
        if batch.operation is Operation.UPSERT:
            result = destination.upsert(batch)
        elif isinstance(destination, RemovesMembers):
            result = destination.remove(batch)
        else:  # refused before anything was sent
            message = f"{destination.spec.name} cannot remove"
            raise TypeError(message)
        return result.checked(batch, destination.spec.name)

    def _may_repeat(self, outcome: Outcome) -> bool:
        if outcome.status is Status.UNKNOWN:
            return self._destination.spec.idempotent
        return outcome.status is Status.RETRY

    def _out_of_patience(self, pending: _Pending) -> bool:
        asked = pending.last.retry_after or 0.0
        return (
            pending.tried >= self._policy.attempts
            or pending.waited + asked > self._policy.longest_wait
        )

    def _wait(self, pending: _Pending, attempt: tenacity.RetryCallState) -> float:
        policy = self._policy
        seconds = pending.last.retry_after
        if seconds is None:
            jitter = tenacity.wait_random_exponential(policy.first_wait, max=policy.widest_wait)
            seconds = jitter(attempt)
        elif pending.last.throttled:
            # "Retry-After: 0" must not become a loop that waits for nothing.
            seconds = max(seconds, policy.first_wait)
        pending.waited += seconds
        self._on_wait(seconds, pending.outcomes[0].code)
        return seconds

    def _halve(self, pending: _Pending, settle: Settle) -> None:
        batch = pending.batch
        records = batch.records
        if len(records) == 1:
            self._refused_in_a_row += 1
            settle(batch, pending.last.outcomes, pending.doubtful)
            if self._refused_in_a_row >= self._policy.poison_limit:
                raise DestinationError(
                    f"destination '{batch.sync.destination}' refuses one record after another",
                    value=pending.last.outcomes[0].code,
                    limit=f"{self._policy.poison_limit} in a row",
                    looked=batch.sync.id,
                    fix="check its configuration and field names, then run the sync again",
                )
            return
        middle = len(records) // 2
        for half in (records[:middle], records[middle:]):
            part = batch_of(self._state, batch.operation, half)
            self._deliver(_Pending(part, doubtful=pending.doubtful), settle)

    def _gave_up(self, pending: _Pending) -> DestinationError:
        batch, last = pending.batch, pending.outcomes[0]
        asked = pending.last.retry_after
        return DestinationError(
            f"destination '{batch.sync.destination}' did not take a batch"
            f" of {len(batch.records):,} records",
            value=last.code or last.status.value,
            limit=f"{pending.tried} attempts, {pending.waited:.0f} s of waiting"
            + (f"; it asks to wait {asked:.0f} s more" if asked else ""),
            looked=batch.sync.id,
            fix="run the sync again when it is reachable; it sends the rest, nothing twice",
        )

"""Cuts a stream of records into calls, by count and by bytes, each with its idempotency key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fed_audience.activation.destination import (
    Batch,
    Destination,
    Operation,
    Record,
    record_bytes,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from fed_audience.activation.difference import PlannedRecord
    from fed_audience.activation.state import SyncState


def in_batches(
    planned: Iterable[PlannedRecord], destination: Destination
) -> Iterator[list[PlannedRecord]]:
    """Yield groups within the destination's limits, in order.

    A record that alone is larger than a call may be stands alone; the destination answers it.
    """
    limits = destination.spec.limits
    group: list[PlannedRecord] = []
    size = 0
    for one in planned:
        weight = record_bytes(destination, one.record)
        if group and (len(group) >= limits.max_rows or size + weight > limits.max_bytes):
            yield group
            group, size = [], 0
        group.append(one)
        size += weight
    if group:
        yield group


def batch_of(state: SyncState, operation: Operation, records: Sequence[Record]) -> Batch:
    """Return one call's batch. Its key follows from its events: sent again, it is the same."""
    parts = (operation.value, *(record.event_id for record in records))
    return Batch(state.sync, operation, state.keys.digest("batch", parts), tuple(records))

"""What a person once said, as the ledger holds it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

GRANTED: Final = "granted"
REFUSALS: Final = frozenset({"denied", "withdrawn", "expired"})
"""Statuses that say no; any status besides these and GRANTED says nothing."""


@dataclass(frozen=True, slots=True)
class ConsentEvent:
    """One row of the ledger; all times are naive and UTC, None is NULL."""

    event_id: str | None
    member_id: str | None
    subject_id: str | None
    purpose: str | None
    status: str | None
    jurisdiction: str | None
    effective_at: datetime | None
    recorded_at: datetime | None
    expires_at: datetime | None = None
    time_trust: str | None = None
    is_minor: bool | None = None
    legal_basis: str | None = None

    @property
    def counts_at(self) -> datetime | None:
        """The instant that orders this event; None never counts.

        A server's clock is believed. A client's is not: its grant counts as early as it can
        be, anything else as late as it can be.
        """
        if self.status == GRANTED and self.effective_at is None:
            return None
        if self.time_trust == "server":
            return self.effective_at or self.recorded_at
        if self.status == GRANTED and self.effective_at and self.recorded_at:
            return min(self.effective_at, self.recorded_at)
        return self.recorded_at


LEDGER_COLUMNS: Final = (
    "consent_event_id as event_id, member_id, subject_id, purpose, status, jurisdiction,"
    " effective_at, recorded_at, expires_at, time_trust, is_minor, legal_basis"
)
"""The select list that turns the ledger into what ``events_of`` reads."""


def events_of(rows: pa.Table) -> Iterator[ConsentEvent]:
    """Yield the events of ``rows``, which hold the columns of LEDGER_COLUMNS."""
    columns = [rows.column(name).to_pylist() for name in ConsentEvent.__dataclass_fields__]
    for values in zip(*columns, strict=True):
        yield ConsentEvent(*values)


def naive_utc(instant: datetime) -> datetime:
    """Return ``instant`` as the warehouse writes it: in UTC, without a zone."""
    if instant.tzinfo is None:
        return instant
    return instant.astimezone(UTC).replace(tzinfo=None)

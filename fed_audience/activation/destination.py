"""What a destination is: records in, exactly one outcome per record out.

A connector knows its tool's API and nothing else. Consent, differences, batches, retries and
state belong to the engine, so that no connector can forget them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, Self, runtime_checkable

from fed_audience.errors import DestinationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fed_audience.activation.definition import Sync
    from fed_audience.activation.identifiers import IdentifierRule
    from fed_audience.activation.limits import Limits
    from fed_audience.activation.members import Plain
    from fed_audience.config import StrictModel

INTERFACE_VERSION = 1


class Change(StrEnum):
    """What happened to a person's membership."""

    ENTERED = "entered"
    UPDATED = "updated"
    EXITED = "exited"


class Operation(StrEnum):
    """What a batch asks of the destination; one batch asks one thing."""

    UPSERT = "upsert"
    REMOVE = "remove"


class Reason(StrEnum):
    """Why a person is removed."""

    CONSENT = "consent"
    LEFT = "left_audience"
    NO_IDENTIFIER = "no_identifier"
    UNKNOWN_PERSON = "unknown_person"


class Status(StrEnum):
    """How one record fared."""

    OK = "ok"
    REJECTED = "rejected"
    RETRY = "retry"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Record:
    """One person as the destination sees them.

    ``key`` is the keyed id under which the destination knows the person: it survives the
    person's own row, so a removal needs nothing else. ``identifiers`` are normalised and hashed
    by the destination's rules. ``remote_id`` is the destination's own id, if it gave one.
    ``event_id`` is the same whenever the same change is sent again.
    """

    key: str
    change: Change
    identifiers: Mapping[str, str] = field(default_factory=dict)
    attributes: Mapping[str, Plain] = field(default_factory=dict)
    reason: Reason | None = None
    remote_id: str | None = None
    event_id: str = ""

    def content(self) -> str:
        """Return what the destination is told of the person, as canonical JSON."""
        told = {
            "key": self.key,
            "change": self.change,
            "reason": self.reason,
            "identifiers": self.identifiers,
            "attributes": self.attributes,
        }
        return json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Batch:
    """Records for one call. ``key`` is the idempotency key: equal content, equal key."""

    sync: Sync
    operation: Operation
    key: str
    records: tuple[Record, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the record at ``index`` of the batch fared.

    ``retry``: not taken, may be sent again. ``unknown``: perhaps taken, nobody can say.
    ``code`` is short and stable; ``reason`` may quote the tool and is scrubbed by the engine.
    """

    index: int
    status: Status
    code: str = ""
    reason: str = ""
    remote_id: str | None = None


@dataclass(frozen=True, slots=True)
class BatchResult:
    """Exactly one outcome for every record of a batch.

    ``unattributed`` says that the whole batch was refused over a record that the tool does not
    name; the engine then halves the batch. ``retry_after`` is the wait the tool asked for, in
    seconds. ``throttled`` marks a rate limit, which uses up no attempt. ``bytes_sent`` counts
    the request's body.
    """

    outcomes: tuple[Outcome, ...]
    unattributed: bool = False
    throttled: bool = False
    retry_after: float | None = None
    bytes_sent: int = 0

    @classmethod
    def same(
        cls,
        batch: Batch,
        status: Status,
        *,
        code: str = "",
        reason: str = "",
    ) -> Self:
        """Give every record of ``batch`` the same outcome."""
        count = len(batch.records)
        return cls(tuple(Outcome(index, status, code, reason) for index in range(count)))

    @classmethod
    def accepted(cls, batch: Batch) -> Self:
        """Every record was taken."""
        return cls.same(batch, Status.OK)

    @classmethod
    def refused(cls, batch: Batch, *, code: str, reason: str = "") -> Self:
        """Refuse the batch over a record that the tool does not name."""
        return replace(
            cls.same(batch, Status.REJECTED, code=code, reason=reason), unattributed=True
        )

    def checked(self, batch: Batch, destination: str) -> Self:
        """Return itself with outcomes in order; DestinationError unless there is one per record."""
        seen = sorted(outcome.index for outcome in self.outcomes)
        if seen != list(range(len(batch.records))):
            raise DestinationError(
                f"destination '{destination}' did not answer for each record once",
                value=f"{len(self.outcomes)} outcomes for {len(batch.records)} records",
                fix="report it to the connector's maintainers; no state was written for the batch",
            )
        return replace(self, outcomes=tuple(sorted(self.outcomes, key=lambda one: one.index)))


@dataclass(frozen=True, slots=True)
class DestinationSpec:
    """What the engine must know of a connector before it runs.

    ``purposes`` are the consent purposes it may serve (``activate:*`` means any channel); one
    without a purpose cannot be loaded. ``identifiers`` are the fields that name a person there;
    where there are some, a person with none of them is not sent. ``idempotent``: sending the
    same batch twice does no harm, so an unknown outcome may be sent again.
    ``removes_by_identifier``: a removal must name the person as an addition did; the others
    remove by the record's key, so that a withdrawal sends nothing else.
    """

    name: str
    interface: int
    config: type[StrictModel]
    purposes: tuple[str, ...]
    identifiers: tuple[IdentifierRule, ...]
    limits: Limits
    idempotent: bool
    removes_by_identifier: bool = False

    def serves(self, purpose: str) -> bool:
        """Tell whether ``purpose`` is among those the connector may serve."""
        return any(
            purpose == one or (one.endswith(":*") and purpose.startswith(one[:-1]))
            for one in self.purposes
        )


@runtime_checkable
class Destination(Protocol):
    """The least a connector is. Its class carries a spec; an instance may narrow it.

    It is constructed as ``Connector(config, base=folder)``: ``base`` is where relative paths
    of the configuration begin. A fault that stops the whole sync (credentials, a missing list,
    a refused policy) raises DestinationError; everything else is an outcome.
    """

    spec: DestinationSpec

    def upsert(self, batch: Batch) -> BatchResult:
        """Make the destination hold these records as told."""
        ...


@runtime_checkable
class RemovesMembers(Protocol):
    """Takes people out of the audience; someone already absent counts as removed.

    A destination without it cannot honour a withdrawal, so no audience is synced to it.
    """

    def remove(self, batch: Batch) -> BatchResult:
        """Make the destination hold none of these records."""
        ...


@runtime_checkable
class ChecksConnection(Protocol):
    """Can tell, before data moves, whether it would be let in."""

    def check(self) -> str:
        """Return one line of what was found; raise DestinationError when it would fail."""
        ...


@runtime_checkable
class MeasuresRecords(Protocol):
    """Knows how many bytes a record takes in its requests."""

    def measure(self, record: Record) -> int:
        """Return the record's bytes within a request body."""
        ...


@runtime_checkable
class CompletesRun(Protocol):
    """Has something to publish when a run has sent all it had, such as a manifest."""

    def complete(self, sync: Sync) -> None:
        """Publish; called at the end of every run, also of one that sent nothing."""
        ...


def record_bytes(destination: Destination, record: Record) -> int:
    """Return the bytes of ``record`` in a request: measured by the connector, or its JSON's."""
    if isinstance(destination, MeasuresRecords):
        return destination.measure(record)
    return len(record.content().encode())

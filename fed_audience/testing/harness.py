"""What a destination is tested with: a tool that can fail on demand, and whole syncs through it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from pydantic import SecretStr

from fed_audience.activation import (
    Contact,
    Destination,
    Limits,
    Member,
    Pace,
    RetryPolicy,
    Sync,
    SyncReport,
    SyncState,
)
from fed_audience.activation.plan import plan
from fed_audience.activation.sync import run
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


class SyncBench:
    """Runs whole syncs through the harness's destination."""

    def __init__(self, harness: DestinationHarness) -> None:
        self.harness = harness
        self.consent = _Consent()
        self.waits: list[float] = []
        self.warehouse = DuckDbWarehouse(None)
        self.sync = Sync("contract", "members", "tool", harness.purpose)

    def send(self, people: Sequence[Member], *, retry_refused: bool = False) -> SyncReport:
        """Plan and run one sync of these people, with the consent of the moment."""
        state = self._state()
        destination = self.harness.destination
        contacts = [Contact(one.customer_id, one.email, one.phone) for one in self.everybody()]
        planned = plan(
            people,
            contacts,
            state,
            self.consent,
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
        """Return the brand's customers, all different and all with usable identifiers."""
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
        """Return the keys under which the destination knows these people."""
        state = self._state()
        return {state.keys.record_key(one.customer_id) for one in people}

    def _state(self) -> SyncState:
        return SyncState(self.warehouse, self.sync, SecretStr("a secret of the contract's tests"))

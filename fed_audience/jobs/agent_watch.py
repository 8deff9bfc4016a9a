"""Watch a brand's agent train what dbt queued, in the warehouse's control tables."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from fed_audience.errors import DataError, FederationError, StillWaiting, WarehouseError
from fed_audience.warehouse.request_progress import (
    RequestState,
    last_scored,
    newest_of,
    requests_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from fed_audience.jobs.sites import Site

ReadT = TypeVar("ReadT")

POLL_SECONDS: Final = 1.0
ASK_SECONDS: Final = 5.0
"""How often is asked whom a queued training waits for."""
MADE: Final = ("succeeded", "unchanged")


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a training stands. ``step``: waiting, training, scoring or busy, the warehouse is."""

    step: str
    words: str


class AgentWatch:
    """One model's next training at ``site``; make it before dbt builds.

    ``waits_for`` says whom a queued training waits for; ``on_change`` is told when anything
    changes. The warehouse is opened for one query at a time. ``timeout``: seconds from the first
    waiting on, None for ever.
    """

    def __init__(
        self,
        site: Site,
        model: str,
        *,
        waits_for: Callable[[], str],
        on_change: Callable[[Progress], None],
        timeout: float | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._site = site
        self._model = model
        self._waits_for = waits_for
        self._on_change = on_change
        self._timeout = timeout
        self._sleep = sleep
        self._deadline: float | None = None
        self._told = Progress("", "")
        self._asked = -ASK_SECONDS
        with site.open() as warehouse:
            states = requests_of(warehouse, model)
        self._ended_before = frozenset(one.request_id for one in states if not one.is_open)

    def until_trained(self) -> RequestState:
        """Return the request when it has ended with a model, made or kept.

        Raises DataError where nothing is queued, FederationError for a training that made no
        model, and StillWaiting, naming whom it waits for, when the time is over.
        """
        while True:
            state = self._read(self._newest)
            if state is not None and not state.is_open:
                return self._made(state)
            if state is not None:
                self._tell(self._progress(state))
            self._pause()

    def until_scored(self, since: datetime) -> datetime:
        """Return when the agent has scored customers, at or after ``since``; naive UTC.

        Raises StillWaiting.
        """
        self._tell(Progress("scoring", f"the agent scores customers with {self._model}"))
        while True:
            at = self._read(self._scored)
            if at is not None and at >= since:
                return at
            self._pause()

    def _newest(self) -> RequestState:
        with self._site.open() as warehouse:
            states = requests_of(warehouse, self._model)
        found = newest_of(states, besides=self._ended_before)
        if found is None:
            last = f"{states[0].request_id}: {states[0].status}" if states else "none so far"
            raise DataError(
                f"no training of {self._model} is queued at {self._site.name}",
                value=f"last request {last}",
                looked="fed_audience.training_requests",
                fix="`dbt build` says in its log why it queued nothing: rows, cadence or target",
            )
        return found

    def _scored(self) -> datetime | None:
        with self._site.open() as warehouse:
            return last_scored(warehouse, self._model)

    def _read(self, query: Callable[[], ReadT]) -> ReadT | None:
        """Return what ``query`` finds; None while another program works in the warehouse."""
        try:
            return query()
        except WarehouseError as error:
            if "is locked by" not in error.what:
                raise
            self._tell(Progress("busy", error.what))
            return None

    def _progress(self, state: RequestState) -> Progress:
        if state.status == "claimed":
            return Progress("training", f"train {self._model}: {state.detail or 'the run begins'}")
        if self._told.step == "waiting" and time.monotonic() - self._asked < ASK_SECONDS:
            return self._told
        self._asked = time.monotonic()
        return Progress("waiting", f"{self._model} waits {self._waits_for()}")

    def _tell(self, progress: Progress) -> None:
        if progress != self._told:
            self._told = progress
            self._on_change(progress)

    def _pause(self) -> None:
        if self._timeout is not None:
            self._deadline = self._deadline or time.monotonic() + self._timeout
            if time.monotonic() >= self._deadline:
                raise StillWaiting(
                    f"{self._model} was not ready in time",
                    value=f"waited {self._timeout:g} s",
                    limit=self._told.words,
                    looked=f"the agent of {self._site.name}, by its control tables",
                    fix="it goes on without this command; run it again with --skip-build to wait "
                    "on, or with a longer --timeout",
                )
        self._sleep(POLL_SECONDS)

    def _made(self, state: RequestState) -> RequestState:
        if state.status in MADE:
            return state
        raise FederationError(
            f"the training of {self._model} at {self._site.name} ended as {state.status}",
            value=state.detail or "no reason on record",
            looked=f"request {state.request_id}",
            fix="mend what it says, and run this again: `dbt build` queues the next training",
        )

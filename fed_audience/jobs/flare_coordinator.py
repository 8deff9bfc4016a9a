"""The coordinator within a FLARE job: what a job's server configuration names."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from fed_audience.errors import ConfigError, FederationError
from fed_audience.federation.transports.flare import FlareLink, RoundController
from fed_audience.jobs.contracts import Contracts
from fed_audience.jobs.coordinator_program import CoordinatorProgram, waiting_for
from fed_audience.jobs.federation_status import STATUS_FILE, status_of, write_status
from fed_audience.jobs.flare_settings import flare_settings
from fed_audience.jobs.members import Members
from fed_audience.jobs.service import only_one, utc_now
from fed_audience.jobs.settings import load_federation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from fed_audience.jobs.link_settings import CoordinatorSettings
    from fed_audience.jobs.run_book import RunRecord
    from fed_audience.jobs.settings import FederationSettings

PROGRAM: Final = "coordinator"
_LOOK_SECONDS: Final = 0.2
_STATUS_SECONDS: Final = 1.0


class CoordinatorController(RoundController):
    """Does what `fed-audience coordinator --once` does, from the same folder, within one job.

    ``wait_seconds``: how long the job waits until its sites have signed, queued and trained.
    """

    def __init__(self, wait_seconds: float = 3_600.0) -> None:
        super().__init__()
        self._wait_seconds = wait_seconds

    def coordinate(self, link: FlareLink, local: Path, stopped: Callable[[], bool]) -> None:
        """Train one run, or go on with the one that rests, until every site has its outcome.

        Raises FederationError when the run made no model, when it rests for a site that FLARE
        cannot bring back into this job, or when the time is over; the next job goes on with it.
        """
        config = flare_settings(local).federation
        settings = load_federation(config)
        own = settings.coordinator
        if own is None:
            raise ConfigError(
                "this federation.yml is not a coordinator's",
                looked=str(config),
                fix="add `coordinator: {}`; docs/flare.md shows the whole file",
            )
        with only_one(own.folder, PROGRAM):
            one_run = _OneRun(settings, own, link)
            with _watched(stopped, one_run.program.pause):
                one_run.until_settled(self._wait_seconds, stopped)


class _OneRun:
    """The coordinator's program over ``link``, until one run is settled."""

    def __init__(
        self, settings: FederationSettings, own: CoordinatorSettings, link: FlareLink
    ) -> None:
        self._settings = settings
        self._own = own
        self._link = link
        self._trained = False
        self._told = 0.0
        self.program = CoordinatorProgram(settings, own, link, utc_now, self._on_change)

    def until_settled(self, seconds: float, stopped: Callable[[], bool]) -> None:
        """Greet and train, as often as it takes."""
        deadline = time.monotonic() + seconds
        while not stopped():
            roster = Members(self._settings).roster()
            self._link.welcome({} if roster is None else roster.keys)
            done = self.program.step()
            self._show()
            if done is not None and done.stage == "settled":
                return _check_made(done)
            run = self.program.view.resting
            if self._trained and run is not None and not stopped():
                raise FederationError(
                    f"run {run} rests",
                    fix="submit the job again: it goes on where it rests",
                )
            if time.monotonic() >= deadline:
                raise self._late(seconds)
            time.sleep(self._own.poll_seconds)
        return None

    def _on_change(self) -> None:
        self._trained = self._trained or self.program.view.run is not None
        if time.monotonic() - self._told >= _STATUS_SECONDS:
            self._show()

    def _show(self) -> None:
        """Write the file that `fed-audience federation status` reads."""
        self._told = time.monotonic()
        roster = Members(self._settings).roster()
        status = status_of(
            self._settings.name,
            Contracts(self._settings).held(),
            () if roster is None else tuple(roster.keys),
            self._link.sites(),
            self.program.view,
            self.program.book.runs(),
            utc_now(),
        )
        write_status(status, self._own.folder / STATUS_FILE)

    def _late(self, seconds: float) -> FederationError:
        view, held = self.program.view, Contracts(self._settings).held()
        waiting = waiting_for(view.decisions) or view.trouble
        if held is not None and held.unsigned:
            waiting = f"not signed by {', '.join(held.unsigned)}"
        return FederationError(
            f"no run was finished in time: {waiting or 'nothing is queued'}",
            value=f"waited {seconds:g} s; {', '.join(self._link.sites()) or 'no site'} took part",
            fix="`fed-audience federation sign` and `dbt build` there, and submit the job again",
        )


def _check_made(record: RunRecord) -> None:
    if record.outcome is None or record.outcome.status not in ("succeeded", "unchanged"):
        raise FederationError(
            f"run {record.run} made no model",
            value=record.outcome.why if record.outcome else None,
            fix="see the log of the job at the server and at the sites",
        )


@contextmanager
def _watched(stopped: Callable[[], bool], stop: Callable[[], None]) -> Iterator[None]:
    """Call ``stop`` from another thread as soon as ``stopped``, within the block."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_LOOK_SECONDS):
            if stopped():
                stop()
                return

    watcher = threading.Thread(target=watch, name="fed-audience abort", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()

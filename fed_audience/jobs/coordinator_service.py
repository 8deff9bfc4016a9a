"""`fed-audience coordinator`: the program around the coordinator's work."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final

from fed_audience.errors import ConfigError, FederationError, ResourceError, RunInterrupted
from fed_audience.federation.contract.joining import Joining
from fed_audience.federation.messages import members as mm
from fed_audience.federation.transports.grpc import Caller, GrpcTransport, Member
from fed_audience.jobs.contracts import Contracts
from fed_audience.jobs.coordinator_program import CoordinatorProgram, waiting_for
from fed_audience.jobs.federation_status import (
    STATUS_FILE,
    STATUS_KIND,
    FederationStatus,
    status_of,
    write_status,
)
from fed_audience.jobs.invitations import Invitations
from fed_audience.jobs.joining import tls_files
from fed_audience.jobs.members import Members
from fed_audience.jobs.service import Stopping, metrics_page, only_one, utc_now
from fed_audience.jobs.service_metrics import show_status

if TYPE_CHECKING:
    from collections.abc import Callable

    from fed_audience.jobs.coordinator_audit import RunAudits
    from fed_audience.jobs.link_settings import CoordinatorSettings
    from fed_audience.jobs.run_book import RunRecord
    from fed_audience.jobs.settings import FederationSettings

_LOG: Final = logging.getLogger(__name__)
PROGRAM: Final = "coordinator"
_STATUS_SECONDS: Final = 1.0


class CoordinatorService:
    """One coordinator on one folder, until it is told to stop."""

    def __init__(self, settings: FederationSettings) -> None:
        if settings.coordinator is None:
            raise ConfigError(
                "this federation.yml is not a coordinator's",
                looked="coordinator in federation.yml",
                fix="`fed-audience federation init` makes one",
            )
        self._settings = settings
        self._own: CoordinatorSettings = settings.coordinator
        self._members = Members(settings)
        self._contracts = Contracts(settings)
        self._invitations = Invitations(settings, self._own, utc_now)
        self._admitted: dict[str, Member] = {}
        self._told = 0.0
        self._shown: str | None = None
        self._trouble = ""

    def run(self, *, once: bool = False, timeout: float | None = None) -> RunRecord | None:
        """Serve until SIGTERM or Ctrl-C; with ``once`` until a run is settled, and return it.

        ``timeout``: seconds to wait for it. A disk that refuses is waited for too, but not with
        ``once``. Raises ResourceError for a port or folder in use, FederationError when the time is
        over, naming who is waited for, and RunInterrupted after Ctrl-C. A run under way then rests
        at the end of its level, and goes on at the next start.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        own = self._own
        with (
            only_one(own.folder, PROGRAM),
            metrics_page(own.metrics),
            GrpcTransport(own.listen, tls_files(own.certificates), self._admitted) as link,
            Stopping() as stopping,
        ):
            program = CoordinatorProgram(
                self._settings,
                own,
                link,
                utc_now,
                on_change=lambda: self._show(program, link),
            )
            stopping.on_stop = program.pause
            link.on(Joining.kind, self._admit, guests=True)
            link.on(mm.LogWanted.kind, _log_parts(program.audits))
            link.on(STATUS_KIND, lambda _caller, _body: self._status_json(program, link))
            while not stopping.event.is_set():
                self._renew_roster(link)
                try:
                    done = program.step()
                    self._show(program, link, at_once=True)
                except RunInterrupted:
                    break
                except ResourceError as error:
                    if once:
                        raise
                    # A full disk, say. What is on it holds, and the next step goes on from there.
                    done = None
                    if str(error) != self._trouble:
                        self._trouble = str(error)
                        _LOG.error("nothing goes on until this is mended: %s", error)
                else:
                    self._trouble = ""
                if once and done is not None and done.stage == "settled":
                    return done
                if deadline is not None and time.monotonic() >= deadline:
                    raise self._late(program, timeout or 0.0)
                stopping.wait(own.poll_seconds)
            _LOG.info("the coordinator ends; runs under way rest", extra={"event": "stopping"})
        if stopping.interrupted:
            raise RunInterrupted("stopped by the user; a run under way goes on at the next start")
        return None

    def _admit(self, caller: Caller, body: bytes) -> bytes:
        joined = self._invitations.admit(mm.decode(Joining, body))
        _LOG.info("joined from %s", caller.address, extra={"event": "joined"})
        return joined.encode()

    def _renew_roster(self, link: GrpcTransport) -> None:
        """Let in whoever is in the roster now, and hang up on whoever is no more."""
        roster = self._members.roster()
        keys = {} if roster is None else dict(roster.keys)
        for site in sorted(self._admitted.keys() - keys.keys()):
            del self._admitted[site]
            link.remove(site, f"site {site} is not in the roster any more")
            _LOG.warning("site %s was revoked", site, extra={"event": "revoked"})
        for site, key in keys.items():
            if site not in self._admitted or self._admitted[site].key != key:
                self._admitted[site] = Member(key)

    def _status(self, program: CoordinatorProgram, link: GrpcTransport) -> FederationStatus:
        roster = self._members.roster()
        return status_of(
            self._settings.name,
            self._contracts.held(),
            () if roster is None else tuple(roster.keys),
            link.sites(),
            program.view,
            program.book.runs(),
            utc_now(),
        )

    def _status_json(self, program: CoordinatorProgram, link: GrpcTransport) -> bytes:
        return self._status(program, link).model_dump_json().encode()

    def _show(
        self, program: CoordinatorProgram, link: GrpcTransport, *, at_once: bool = False
    ) -> None:
        """Write the status file and the metrics, at most once a second during a run.

        That a run begins or ends is written at once: its next level may be long in coming.
        """
        now, run = time.monotonic(), program.view.run
        if at_once or run != self._shown or now - self._told >= _STATUS_SECONDS:
            self._told, self._shown = now, run
            status = self._status(program, link)
            write_status(status, self._own.folder / STATUS_FILE)
            if self._own.metrics is not None:
                show_status(status)

    def _late(self, program: CoordinatorProgram, seconds: float) -> FederationError:
        return FederationError(
            "no run was finished in time",
            value=f"waited {seconds:g} s",
            limit=waiting_for(program.view.decisions) or program.view.trouble or None,
            fix="`dbt build` at the brands that are waited for, or a longer --timeout",
        )


def _log_parts(audits: RunAudits) -> Callable[[Caller, bytes], bytes]:
    return lambda caller, body: audits.part(mm.decode(mm.LogWanted, body), caller.site).encode()

"""`fed-audience agent`: the program beside one brand's warehouse."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final

from fed_audience.errors import ConfigError, FederationError, RunInterrupted
from fed_audience.federation.messages import members as mm
from fed_audience.federation.transports.grpc import SiteLink
from fed_audience.jobs.agent_desk import AgentDesk
from fed_audience.jobs.agent_run import Station
from fed_audience.jobs.joining import tls_files
from fed_audience.jobs.members import Members
from fed_audience.jobs.service import Stopping, clock_from, metrics_page, only_one
from fed_audience.jobs.service_metrics import show_agent
from fed_audience.jobs.settings import load_federation
from fed_audience.jobs.sites import site_of
from fed_audience.jobs.spread_training import require_spreadable

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

_LOG: Final = logging.getLogger(__name__)
PROGRAM: Final = "agent"
SEAL_SECONDS: Final = 20.0
"""How long `agent --once` stays after its run, to counter-sign the end of the audit log."""


def run_agent(
    config: Path,
    category_key: bytes,
    *,
    once: bool = False,
    timeout: float | None = None,
    as_of: datetime | None = None,
) -> None:
    """Serve one site until SIGTERM or Ctrl-C; with ``once`` until it has settled one run.

    ``timeout``: seconds to wait for that. ``as_of``: instant (naive UTC) at which the agent's clock
    begins, for data of another day. A round under way is answered first; a run goes on at the
    next start. Raises ResourceError for a folder in use, FederationError when the coordinator
    refuses this site or the time is over, and RunInterrupted after Ctrl-C.
    """
    settings = load_federation(config)
    own = settings.agent
    if own is None:
        raise ConfigError(
            "this federation.yml is not an agent's",
            looked="agent in federation.yml",
            fix="`fed-audience site join` makes one",
        )
    site = site_of(settings.sites[0])
    if own.rows is not None:
        require_spreadable(site, own.rows)
    identity = Members(settings).identity(site.name)
    deadline = None if timeout is None else time.monotonic() + timeout
    with only_one(own.folder, PROGRAM), metrics_page(own.metrics), Stopping() as stopping:
        desk = AgentDesk(
            Station(config.resolve(), site, category_key, own.folder, clock_from(as_of))
        )
        desk.recover()
        link = SiteLink(own.address, tls_files(own.certificates), identity, desk.handle)
        for asked in mm.ASKED:
            link.on(asked.kind, _answering(desk, asked.kind))
        settled_at = 0.0
        try:
            with link:
                while not stopping.wait(min(own.poll_seconds, 1.0)):
                    connected = link.wait_connected(0.0)
                    if own.metrics is not None:
                        show_agent(
                            connected=connected, holds_run=desk.holds_run, settled=desk.settled
                        )
                    if desk.settled and not settled_at:
                        settled_at = time.monotonic()
                    if once and settled_at and _may_leave(desk, settled_at):
                        return
                    if deadline is not None and time.monotonic() >= deadline:
                        raise _late(desk, timeout or 0.0)
        finally:
            desk.close()
        _LOG.info("the agent ends; a run under way rests", extra={"event": "stopping"})
    if stopping.interrupted:
        raise RunInterrupted("stopped by the user; a run under way goes on at the next start")


def _may_leave(desk: AgentDesk, settled_at: float) -> bool:
    """Whether the end of the log is signed; where a site is away, that waits for the next start."""
    return desk.sealed or time.monotonic() - settled_at > SEAL_SECONDS


def _answering(desk: AgentDesk, kind: str) -> Callable[[bytes], bytes]:
    return lambda body: desk.answer(kind, body)


def _late(desk: AgentDesk, seconds: float) -> FederationError:
    return FederationError(
        "no run was finished in time",
        value=f"waited {seconds:g} s",
        limit=desk.standing,
        fix="`fed-audience federation status` says whom the run waits for",
    )

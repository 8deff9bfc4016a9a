"""A site fetches the log of a run that it counter-signed, from the coordinator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fed_audience.errors import UsageError
from fed_audience.federation.transports.grpc import ask_coordinator
from fed_audience.jobs.agent_witness import SiteWitness
from fed_audience.jobs.joining import tls_files
from fed_audience.jobs.members import Members
from fed_audience.jobs.service import utc_now
from fed_audience.jobs.settings import load_federation

if TYPE_CHECKING:
    from pathlib import Path

    from fed_audience.audit.verification import Verification


def fetch_log(config: Path, run: str) -> Verification:
    """Fetch the log of ``run``; verify it against keys and checkpoint that the site has.

    Raises UsageError anywhere but at a site's folder, AuditError for a log that is not the one
    that the site counter-signed, FederationError when the coordinator does not hand it out.
    """
    settings = load_federation(config)
    own = settings.agent
    if own is None:
        raise UsageError(
            "a log is fetched where a site keeps its checkpoints",
            looked=str(config),
            fix="at the coordinator the logs are in `audit.folder`: `fed-audience audit verify`",
        )
    site = settings.sites[0].name
    identity = Members(settings).identity(site)

    def ask(kind: str, body: bytes) -> bytes:
        return ask_coordinator(
            own.address,
            tls_files(own.certificates),
            kind,
            body,
            site=site,
            identity=identity,
        )

    return SiteWitness(settings, site, utc_now).fetch(run, ask)

"""How the federation stands, asked of the coordinator from a site's folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fed_audience.errors import FedAudienceError
from fed_audience.jobs.federation_status import STATUS_KIND, FederationStatus, read_status
from fed_audience.jobs.joining import tls_files
from fed_audience.jobs.members import Members
from fed_audience.jobs.service import is_running

if TYPE_CHECKING:
    from fed_audience.jobs.link_settings import AgentSettings
    from fed_audience.jobs.settings import FederationSettings

AGENT = "agent"


def ask_status(
    settings: FederationSettings, agent: AgentSettings, *, timeout: float = 30.0
) -> FederationStatus:
    """Ask the coordinator of the site in ``settings``. Raises FederationError without an answer."""
    from fed_audience.federation.transports.grpc import ask_coordinator  # noqa: PLC0415 - an extra

    site = settings.sites[0].name
    body = ask_coordinator(
        agent.address,
        tls_files(agent.certificates),
        STATUS_KIND,
        b"",
        site=site,
        identity=Members(settings).identity(site),
        timeout=timeout,
    )
    return read_status(body)


def waited_for(settings: FederationSettings, agent: AgentSettings, model: str) -> str:
    """Say in words what a queued training of ``model`` waits for: brands, and why."""
    if agent.coordinator is None:
        return "for the next job of NVIDIA FLARE"
    site = settings.sites[0].name
    own = "" if is_running(agent.folder, AGENT) else f"; no agent runs on {agent.folder}"
    try:
        status = ask_status(settings, agent, timeout=5.0)
    except FedAudienceError as error:
        return f"for the coordinator: {error.what}{own}"
    waits = status.waits.get(model, {})
    if status.run is not None and site not in waits:
        return f"for run {status.run} to end{own}"
    brands = ", ".join(f"{brand} ({why})" for brand, why in sorted(waits.items()))
    return f"for {brands or 'the run to begin'}{own}"

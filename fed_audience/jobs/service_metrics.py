"""How a federation stands, as gauges for Prometheus."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from fed_audience.errors import ResourceError

if TYPE_CHECKING:
    from fed_audience.jobs.federation_status import FederationStatus


@cache
def _gauges() -> dict[str, Any]:
    try:
        from prometheus_client import Gauge  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ResourceError(
            "metrics need the package prometheus_client",
            looked="the installed packages",
            fix="pip install 'fed-audience[grpc]'",
        ) from error
    site, model = ["site"], ["model"]
    return {
        "connected": Gauge("fed_audience_site_connected", "Whether the site has a stream.", site),
        "signed": Gauge("fed_audience_site_signed", "Whether it signed the contract.", site),
        "waits": Gauge(
            "fed_audience_model_waits_for_sites", "Sites that a model waits for.", model
        ),
        "runs": Gauge("fed_audience_runs", "Runs by how they ended, the last 20.", ["status"]),
        "trees": Gauge("fed_audience_run_trees", "Trees of the run under way.", []),
        "under_way": Gauge("fed_audience_run_under_way", "Whether a run is under way.", []),
        "linked": Gauge("fed_audience_agent_connected", "Whether the agent has a stream.", []),
        "holds": Gauge("fed_audience_agent_holds_run", "Whether the agent is in a run.", []),
        "settled": Gauge("fed_audience_agent_settled_runs", "Runs settled since its start.", []),
    }


def show_status(status: FederationStatus) -> None:
    """Set every gauge to what ``status`` says."""
    gauges = _gauges()
    for site in status.sites:
        gauges["connected"].labels(site.site).set(site.connected)
        gauges["signed"].labels(site.site).set(site.signed)
    for model, waits in status.waits.items():
        gauges["waits"].labels(model).set(len(waits))
    for outcome in ("succeeded", "unchanged", "failed", "cancelled"):
        count = sum(1 for run in status.runs if run.status == outcome)
        gauges["runs"].labels(outcome).set(count)
    gauges["trees"].set(status.trees[0])
    gauges["under_way"].set(status.run is not None)


def show_agent(*, connected: bool, holds_run: bool, settled: int) -> None:
    """Set the agent's gauges."""
    gauges = _gauges()
    gauges["linked"].set(connected)
    gauges["holds"].set(holds_run)
    gauges["settled"].set(settled)

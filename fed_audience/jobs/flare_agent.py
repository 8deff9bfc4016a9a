"""A brand's agent within a FLARE job: what a job's client configuration names."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from fed_audience.config import secret_from_environment
from fed_audience.errors import ConfigError
from fed_audience.federation.transports.flare import SiteExecutor
from fed_audience.jobs.agent_desk import AgentDesk
from fed_audience.jobs.agent_run import Station
from fed_audience.jobs.flare_settings import flare_settings
from fed_audience.jobs.members import Members
from fed_audience.jobs.service import clock_from, only_one
from fed_audience.jobs.settings import load_federation
from fed_audience.jobs.sites import site_of
from fed_audience.jobs.spread_training import require_spreadable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fed_audience.privacy.identity import SiteIdentity

PROGRAM: Final = "agent"


class AgentExecutor(SiteExecutor):
    """Does what `fed-audience agent` does, from the same folder, as long as the job lasts."""

    @contextmanager
    def stand(self, local: Path) -> Iterator[tuple[SiteIdentity, AgentDesk]]:
        """Open the agent's folder; a run that rests there goes on. Raises FedAudienceError."""
        flare = flare_settings(local)
        config = flare.federation
        settings = load_federation(config)
        if settings.agent is None:
            raise ConfigError(
                "this federation.yml is not an agent's",
                looked=str(config),
                fix="name one site there, and add `agent: {coordinator: null}`",
            )
        key = secret_from_environment(settings.category_key).get_secret_value().encode()
        site = site_of(settings.sites[0])
        if settings.agent.rows is not None:
            require_spreadable(site, settings.agent.rows)
        identity = Members(settings).identity(site.name)
        with only_one(settings.agent.folder, PROGRAM):
            clock = clock_from(flare.as_of)
            desk = AgentDesk(Station(config, site, key, settings.agent.folder, clock))
            try:
                desk.recover()
                yield identity, desk
            finally:
                desk.close()

"""A brand's warehouse as the jobs see it: opened for a moment, closed again."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fed_audience.config import secret_from_environment
from fed_audience.consent.erasures import Tombstones, read_tombstones
from fed_audience.consent.person_keys import PersonKeys
from fed_audience.warehouse.engine import PATIENCE_S
from fed_audience.warehouse.engines import open_warehouse
from fed_audience.warehouse.profiles import load_profile
from fed_audience.warehouse.protocol import Relation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fed_audience.jobs.settings import SiteSettings
    from fed_audience.warehouse.profiles import Profile
    from fed_audience.warehouse.protocol import Warehouse


@dataclass(frozen=True, slots=True)
class Site:
    """One brand: its name, its profile and where its dbt models stand.

    ``keys``: of its people, where they are carried to a process that has not its environment.
    """

    name: str
    settings: SiteSettings
    profile: Profile
    keys: PersonKeys | None = field(default=None, repr=False)

    @contextmanager
    def open(self, patience_s: float = PATIENCE_S) -> Iterator[Warehouse]:
        """Open the warehouse for one piece of work; other processes may use it in between.

        ``patience_s``: seconds for which what another process holds is tried again.
        """
        warehouse = open_warehouse(self.profile, patience_s=patience_s)
        try:
            yield warehouse
        finally:
            warehouse.close()

    @property
    def person_keys(self) -> PersonKeys | None:
        """Keyed names of the site's people; None where its state key is not in the environment."""
        if self.keys is not None:
            return self.keys
        name = self.settings.state_key
        if name not in os.environ and f"{name}_FILE" not in os.environ:
            return None
        return PersonKeys(secret_from_environment(name), self.name)

    def tombstones(self, warehouse: Warehouse) -> Tombstones:
        """Return who was erased here; raises ConfigError when they cannot be recognised."""
        return read_tombstones(warehouse, self.person_keys)

    def model(self, name: str) -> Relation:
        """Return the relation that dbt built for model ``name``."""
        return Relation(self.profile.schema_, name)


def site_of(settings: SiteSettings) -> Site:
    """Resolve a site's profile; raises ConfigError saying where we looked."""
    profile = load_profile(settings.project, settings.profiles, settings.target)
    return Site(settings.name, settings, profile)

"""What one sync is: an audience of a site, the destination it goes to, and the purpose."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fed_audience.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$")


@dataclass(frozen=True, slots=True)
class Sync:
    """One audience of one site, kept equal at one destination.

    ``min_change`` maps a numeric attribute to the smallest difference worth sending again,
    in that attribute's unit. ``max_fall`` is the share of the people at the destination (0..1)
    by which the audience may shrink before ordinary removals wait for a confirmation.
    Raises ConfigError for a name that could not stand in a path or a message.
    """

    site: str
    audience: str
    destination: str
    purpose: str
    min_change: Mapping[str, float] = field(default_factory=dict)
    max_fall: float = 0.20

    def __post_init__(self) -> None:
        for what in ("site", "audience", "destination"):
            value = getattr(self, what)
            if not _NAME.match(value):
                raise ConfigError(
                    f"{what} name cannot be used",
                    value=value[:80],
                    limit="1 to 63 letters, digits, '_' and '-', beginning with a letter or digit",
                    fix="rename it in federation.yml",
                )
        if not self.purpose:
            raise ConfigError(
                "a sync needs a consent purpose",
                looked=self.id,
                fix="give the audience a channel; its purpose is activate:<channel>",
            )

    @property
    def id(self) -> str:
        """Name of the sync in the state tables."""
        return f"{self.site}/{self.audience}@{self.destination}"

    @property
    def scope(self) -> str:
        """Where a record key names the same person: one site at one destination."""
        return f"{self.site}@{self.destination}"

"""Where a FLARE participant finds its federation.yml: in its own `local` folder, never in a job."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Final

from fed_audience.config import StrictModel, load_yaml

FILE: Final = "fed_audience.yml"


class FlareSettings(StrictModel):
    """`local/fed_audience.yml`. ``federation``: path of federation.yml, from that folder.

    ``as_of``: where the agent's clock begins, naive UTC, for data of another day.
    """

    federation: Path
    as_of: datetime | None = None


def flare_settings(local: Path) -> FlareSettings:
    """Read the file in ``local``, FLARE's folder of the participant's own settings.

    Raises ConfigError where there is none.
    """
    settings = load_yaml(local / FILE, FlareSettings)
    return settings.model_copy(update={"federation": (local / settings.federation).resolve()})

"""What a brand keeps of its open queries: one file each, readable by its owner alone."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, Literal

from fed_audience.privacy.overlap.refusals import OverlapError

if TYPE_CHECKING:
    from pathlib import Path

Side = Literal["asked", "answered"]


class OpenQueries:
    """Open queries in ``folder``. Every method raises OverlapError (kept_state)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keep(self, site: str, side: Side, query: str, document: dict[str, Any]) -> None:
        """Write a query's file and wait until the disk holds it; one of that name is refused."""
        path = self._path(site, side, query)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                json.dump(document, file)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise _unusable(path, error) from error

    def has(self, site: str, side: Side, query: str) -> bool:
        """Tell whether the query is open at ``site``."""
        return self._path(site, side, query).is_file()

    def read(self, site: str, side: Side, query: str) -> dict[str, Any]:
        """Return what was kept."""
        path = self._path(site, side, query)
        try:
            found = json.loads(path.read_text(encoding="ascii"))
        except (OSError, ValueError) as error:
            raise _unusable(path, error) from error
        if not isinstance(found, dict):
            raise _unusable(path, ValueError())
        return found

    def forget(self, site: str, side: Side, query: str) -> None:
        """Delete a query's file, and with it the secret that it was asked under."""
        path = self._path(site, side, query)
        try:
            path.unlink()
        except OSError as error:
            raise _unusable(path, error) from error

    def _path(self, site: str, side: Side, query: str) -> Path:
        return self.folder / "open" / f"{site}-{side}-{query}.json"


def _unusable(path: Path, error: Exception) -> OverlapError:
    reason = getattr(error, "strerror", None) or "it is not what was kept"
    return OverlapError("kept_state", detail=reason, looked=str(path))

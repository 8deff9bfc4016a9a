"""What an agent must not forget: the run that it holds, and the last one that it settled."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime  # noqa: TC003 - pydantic reads it at run time
from typing import TYPE_CHECKING, TypeVar

from pydantic import TypeAdapter

from fed_audience.errors import ResourceError
from fed_audience.federation.manifest import Manifest
from fed_audience.files import write_whole
from fed_audience.warehouse.control import TrainingRequest  # noqa: TC001 - the same

if TYPE_CHECKING:
    from pathlib import Path

KeptT = TypeVar("KeptT")


@dataclass(frozen=True, slots=True)
class HeldRun:
    """A run that the agent takes part in. ``began``: instant of consent, naive UTC.

    ``brought``: hashes (JSON) of what the site brings to it. ``unchanged``: what the site said, in
    words, when all of that was as in the run before; else None.
    """

    manifest: str
    began: datetime
    request: TrainingRequest
    brought: str | None = None
    unchanged: str | None = None

    @property
    def run_id(self) -> str:
        """Name of the run."""
        return Manifest.from_json(self.manifest).run_id


@dataclass(frozen=True, slots=True)
class SettledRun:
    """A run whose outcome the agent has written to its warehouse."""

    run_id: str
    model_sha256: str | None


class AgentMemory:
    """Two small files in the agent's folder, each replaced whole."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._held = folder / "run.json"
        self._settled = folder / "settled.json"

    @property
    def checkpoint(self) -> Path:
        """Folder of the site program's checkpoint."""
        return self.folder / "checkpoint"

    def baseline(self, model: str) -> Path:
        """File of a model's feature distributions at its last training."""
        return self.folder / f"{model}.baseline.json"

    def held(self) -> HeldRun | None:
        """Return the run under way. Raises ResourceError for a damaged file."""
        return _read(self._held, TypeAdapter(HeldRun))

    def settled(self) -> SettledRun | None:
        """Return the run that was settled last."""
        return _read(self._settled, TypeAdapter(SettledRun))

    def hold(self, run: HeldRun) -> None:
        """Keep ``run``."""
        write_whole(self._held, TypeAdapter(HeldRun).dump_json(run), "the agent's run")

    def settle(self, run: SettledRun) -> None:
        """Keep that ``run`` is settled, and none is under way."""
        document = TypeAdapter(SettledRun).dump_json(run)
        write_whole(self._settled, document, "the agent's last run")
        self.release()

    def release(self) -> None:
        """Keep that no run is under way."""
        self._held.unlink(missing_ok=True)


def _read(path: Path, kind: TypeAdapter[KeptT]) -> KeptT | None:
    if not path.exists():
        return None
    try:
        return kind.validate_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ResourceError(
            "what the agent remembers cannot be read",
            value=type(error).__name__,
            looked=str(path),
            fix="put it back from a copy; or delete it: the request is claimed anew after an hour",
        ) from error

"""The runs of a coordinator, a folder each: what was proposed, how it stands, who settled it."""

from __future__ import annotations

import shutil
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from fed_audience.config import StrictModel
from fed_audience.errors import ResourceError, UsageError
from fed_audience.federation.messages.members import Outcome, RunId
from fed_audience.files import write_whole

if TYPE_CHECKING:
    from pathlib import Path

Wish = Literal["pause", "cancel"]
"""What the operator wants of a run that is under way."""

Stage = Literal["proposed", "training", "ended", "settled"]


class RunRecord(StrictModel):
    """One run. ``began`` and ``ended`` are naive UTC; ``bytes_up``: what left each site.

    ``stage``: 'proposed' to its sites, 'training', 'ended' with an ``outcome`` that sites have
    still to hear, 'settled' by all of them. ``settled``: those that have. ``stopped``: why no more
    trees were grown; ``error``: the class of what broke the run. ``sealed``: whether every site
    has signed the end of its audit log.
    """

    run: RunId
    model: str
    stage: Stage
    manifest: str
    sites: tuple[str, ...]
    began: datetime
    rests_since: datetime | None = None
    ended: datetime | None = None
    outcome: Outcome | None = None
    model_sha256: str | None = None
    stopped: str | None = None
    trees_grown: int = 0
    trees_kept: int = 0
    error: str | None = None
    bytes_up: dict[str, int] = Field(default_factory=dict)
    settled: tuple[str, ...] = ()
    sealed: bool = False

    def changed(self, **changes: object) -> RunRecord:
        """Return the record with fields replaced."""
        return self.model_copy(update=changes)


class RunBook:
    """All runs below a folder; a record is replaced whole, before what it says is done."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, record: RunRecord) -> RunRecord:
        """Keep ``record``, on the disk when this returns."""
        path = self.folder_of(record.run) / "run.json"
        write_whole(path, record.model_dump_json(indent=1).encode(), "the run's record")
        return record

    def wish(self, run: str, wish: Wish | None) -> None:
        """Keep what the operator wants of ``run``, for the program to find; None to go on.

        Raises UsageError for a run that is not there or is over.
        """
        known = {record.run for record in self.open_runs() if record.stage != "ended"}
        if run not in known:
            raise UsageError(
                "no such run is under way",
                value=run,
                limit=", ".join(sorted(known)) or "none",
                fix="`fed-audience federation status` lists the runs",
            )
        path = self.folder_of(run) / "wish"
        if wish is None:
            path.unlink(missing_ok=True)
        else:
            write_whole(path, wish.encode(), "the wish")

    def wished(self, run: str) -> Wish | None:
        """Return what the operator wants of ``run``."""
        path = self.folder_of(run) / "wish"
        text = path.read_text(encoding="ascii", errors="replace") if path.exists() else ""
        return "pause" if text == "pause" else "cancel" if text == "cancel" else None

    def keep_made(self, run: str, made: bytes) -> None:
        """Keep what ``run`` made, on the disk when this returns."""
        write_whole(self.folder_of(run) / "made.json", made, "the model")

    def has_made(self, run: str) -> bool:
        """Whether a model of ``run`` is kept."""
        return (self.folder_of(run) / "made.json").exists()

    def made(self, run: str) -> bytes:
        """Return what ``run`` made. Raises ResourceError when it is gone."""
        path = self.folder_of(run) / "made.json"
        try:
            return path.read_bytes()
        except OSError as error:
            raise ResourceError(
                "the model of a run cannot be read",
                value=error.strerror,
                looked=str(path),
                fix="put the file back from a copy; sites that have not settled the run need it",
            ) from error

    def tidy(self, run: str) -> None:
        """Remove the journal and the model of a run that every site has settled."""
        folder = self.folder_of(run)
        shutil.rmtree(folder / "journal", ignore_errors=True)
        for name in ("made.json", "wish"):
            (folder / name).unlink(missing_ok=True)

    def runs(self) -> list[RunRecord]:
        """Return all runs, oldest first. Raises ResourceError for a damaged record."""
        found = [_read(path) for path in sorted(self._folder.glob("*/run.json"))]
        return sorted(found, key=lambda record: (record.began, record.run))

    def open_runs(self) -> list[RunRecord]:
        """Return the runs that are not settled by all their sites, oldest first."""
        return [record for record in self.runs() if record.stage != "settled"]

    def unsealed(self) -> list[RunRecord]:
        """Return the settled runs the end of whose audit log is not signed by all their sites."""
        return [one for one in self.runs() if one.stage == "settled" and not one.sealed]

    def last_success(self, model: str) -> datetime | None:
        """Return when the last run of ``model`` began that made it, or found it unchanged."""
        began = [
            record.began
            for record in self.runs()
            if record.model == model
            and record.outcome is not None
            and record.outcome.status in ("succeeded", "unchanged")
        ]
        return began[-1] if began else None

    def last_whole(self, model: str) -> RunRecord | None:
        """Return the last run that made ``model``; None where a missing site cut its trees off."""
        made = [one for one in self.runs() if one.model == model and one.model_sha256 is not None]
        ended = [one for one in made if one.outcome and one.outcome.status == "succeeded"]
        return ended[-1] if ended and ended[-1].stopped != "site_missing" else None

    def last_cancelled(self, model: str) -> datetime | None:
        """Return when the last run of ``model`` ended, if it was cancelled."""
        found = [record for record in self.runs() if record.model == model]
        last = found[-1] if found else None
        cancelled = last is not None and last.outcome and last.outcome.status == "cancelled"
        return last.ended if last is not None and cancelled else None

    def folder_of(self, run: str) -> Path:
        """Folder of a run: its record and its journal."""
        return self._folder / run


def _read(path: Path) -> RunRecord:
    try:
        return RunRecord.model_validate_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ResourceError(
            "the record of a run cannot be read",
            value=type(error).__name__,
            looked=str(path),
            fix="put it back from a copy; or move its folder away, and the run is given up",
        ) from error

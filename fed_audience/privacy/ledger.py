"""What a site must never forget: the rounds it answered and the sets of survivors it signed."""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, dataclass, field, fields
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, TypeVar

from fed_audience.errors import ResourceError
from fed_audience.files import write_whole
from fed_audience.privacy.folder_lock import lock_of
from fed_audience.privacy.refusals import SecureSumError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LoadedT = TypeVar("LoadedT")

BEFORE_THE_RUN: Final = -(2**31)


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run at one site; a change is on disk before what it says leaves the site.

    ``secret``: 32 random bytes, hexadecimal; seeds of self-masks derive from it. ``counter``: run
    keys presented. ``peers``: site -> its highest counter and that run key. The last round is
    ``tree``, ``level``, ``attempt``, over ``cohort``, with a vector of hash ``vector`` in a ring
    of ``bits``; ``survivors`` are those signed for its tree and level. ``opened``: the sets of
    sites whose sums this site made possible. Earlier rounds are burned: they lie before the last.
    """

    run: str
    terms: str
    secret: str = field(default_factory=lambda: secrets.token_hex(32), repr=False)
    counter: int = 0
    peers: dict[str, tuple[int, str]] = field(default_factory=dict)
    tree: int = BEFORE_THE_RUN
    level: int = 0
    attempt: int = 0
    vector: str = ""
    bits: int = 64
    cohort: tuple[str, ...] = ()
    survivors: tuple[str, ...] = ()
    opened: tuple[tuple[str, ...], ...] = ()

    @property
    def position(self) -> tuple[int, int]:
        """Tree and level of the last round."""
        return (self.tree, self.level)


class SiteLedger:
    """The ledger of a site that lives as long as its process: for sites of one process."""

    def __init__(self) -> None:
        self._runs: dict[str, RunRecord] = {}
        self._cohorts: dict[str, tuple[tuple[str, ...], ...]] = {}

    def record(self, run: str, terms: str) -> RunRecord:
        """Return the record of ``run``, begun when there is none.

        Raises SecureSumError (other_terms) when the run was begun under other terms.
        """
        found = self._runs.get(run) or self._read_run(run)
        record = found or RunRecord(run, terms)
        if record.terms != terms:
            raise SecureSumError("other_terms", detail=run)
        return record

    def save(self, record: RunRecord) -> None:
        """Keep ``record``; it survives whatever this ledger survives."""
        self._runs[record.run] = record

    def cohorts(self, build: str) -> tuple[tuple[str, ...], ...]:
        """Return the cohorts that trained on the rows of ``build`` in earlier runs."""
        return self._cohorts.get(build, ())

    def note_cohort(self, build: str, cohort: tuple[str, ...]) -> None:
        """Keep that ``cohort`` trained on the rows of ``build``."""
        if cohort not in self.cohorts(build):
            self._cohorts[build] = (*self.cohorts(build), cohort)

    def _read_run(self, run: str) -> RunRecord | None:
        del run
        return None


class FileLedger(SiteLedger):
    """A ledger in a folder: one JSON file a run and one a build, each replaced whole.

    A file is written beside the old one, flushed to the disk and renamed, so that a crash leaves
    the old or the new. Without ``keep_runs`` runs live in memory, for a process that ends with its
    run and begins none twice; what trained on a build is always kept. A folder is one process's
    while a ledger of it is in use: two that answer rounds would forget each other's.
    Raises SecureSumError (ledger, ledger_in_use).
    """

    def __init__(self, folder: Path, *, keep_runs: bool = True) -> None:
        super().__init__()
        self._folder = folder
        self._keep_runs = keep_runs
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = lock_of(folder)
        except BlockingIOError:
            raise SecureSumError("ledger_in_use", detail=folder) from None
        except OSError as error:
            raise SecureSumError("ledger", detail=f"{folder}: {error.strerror}") from error

    def save(self, record: RunRecord) -> None:
        """Write ``record`` and wait until the disk holds it."""
        if self._keep_runs:
            self._write(self._path("run", record.run), asdict(record))
        super().save(record)

    def cohorts(self, build: str) -> tuple[tuple[str, ...], ...]:
        """Read the cohorts of ``build``."""
        kept = self._load(self._path("build", build), _cohorts_of)
        return kept or ()

    def note_cohort(self, build: str, cohort: tuple[str, ...]) -> None:
        """Write that ``cohort`` trained on the rows of ``build``."""
        known = self.cohorts(build)
        if cohort not in known:
            self._write(self._path("build", build), {"cohorts": [*known, cohort]})

    def _read_run(self, run: str) -> RunRecord | None:
        return self._load(self._path("run", run), _record_of) if self._keep_runs else None

    def _path(self, kind: str, name: str) -> Path:
        return self._folder / f"{kind}-{sha256(name.encode()).hexdigest()[:32]}.json"

    def _load(self, path: Path, read: Callable[[Any], LoadedT]) -> LoadedT | None:
        try:
            return read(json.loads(path.read_text(encoding="ascii")))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError) as error:
            detail = f"{path}: {type(error).__name__}"
            raise SecureSumError("ledger", detail=detail) from error

    def _write(self, path: Path, document: dict[str, Any]) -> None:
        content = json.dumps(document, sort_keys=True).encode("ascii")
        try:
            write_whole(path, content, "the ledger", mode=0o600)
        except ResourceError as error:
            raise SecureSumError("ledger", detail=f"{path}: {error.what}") from error


def _record_of(document: dict[str, Any]) -> RunRecord:
    if set(document) != {known.name for known in fields(RunRecord)}:
        raise ValueError("other fields than a record's")
    return RunRecord(
        **{
            **document,
            "peers": {
                site: (int(seen), str(key)) for site, (seen, key) in document["peers"].items()
            },
            "cohort": tuple(document["cohort"]),
            "survivors": tuple(document["survivors"]),
            "opened": tuple(tuple(sites) for sites in document["opened"]),
        }
    )


def _cohorts_of(document: dict[str, Any]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(cohort) for cohort in document["cohorts"])

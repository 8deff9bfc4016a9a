"""What a coordinator must not forget: decisions before they are announced, and what was opened.

A journal is a folder. ``journal.log`` grows by what is finished: the manifest, what was prepared,
each tree with its nodes' totals. The rounds of the tree under way are in a file of their own, with
the sums that its later levels are taken from, and go when the tree is finished. A request is on the
disk before it is sent, so what a level decided is too. After an interruption the same program
comes to the same requests, is given the sums that it had, and asks for the first one it lacks.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from fed_audience.errors import ConfigError, FederationError, ResourceError
from fed_audience.federation import messages as m
from fed_audience.federation.lasting.journal import Journal, Known
from fed_audience.federation.lasting.journal_records import (
    FinishedTrees,
    Preparation,
    SharesLeft,
    Warned,
    packed,
    unpacked,
)
from fed_audience.federation.lasting.record_log import Record, RecordLog
from fed_audience.federation.manifest import Manifest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from fed_audience.federation.rounds.books import Books

BEGUN: Final = 1
PREPARED: Final = 2
TREES: Final = 3
SHARES: Final = 4
CANCELLED: Final = 5
COMPLETED: Final = 6
ANNOUNCED: Final = 16
SURVIVORS: Final = 17
SUMMED: Final = 18
REPLIED: Final = 19

_SUM: Final = np.dtype("<i8")
_UNDER_WAY: Final = "journal of the rounds under way"


class RunJournal(Journal):
    """The journal of one run in ``folder``, held by this process alone.

    ``manifest``: that of the run in the folder, None before one has begun. ``lasts``: a site that
    is away when the run begins is waited for. ``resumed``: whether sites have opened it. Raises
    FederationError for a damaged file, naming it, and ResourceError where the disk refuses; the
    run can then be resumed once it does not.
    """

    lasts = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest: Manifest | None = None
        self._finished: list[FinishedTrees] = []
        self._tidied = 0
        self._warned: set[tuple[str, str]] = set()
        self._unkept: list[tuple[str, str]] = []
        self._rounds: list[Known] = []
        self._position = 0
        self._phase: int | None = None
        self._under_way: RecordLog | None = None
        self._log = RecordLog(folder / "journal.log", "journal of the run")
        for record in self._log.records:
            self._remember(record)

    @property
    def finished(self) -> int:
        """Rounds of trees that are finished."""
        return len(self._finished)

    @property
    def cohort(self) -> tuple[str, ...]:
        """The sites that were asked last."""
        if self._finished:
            return self._finished[-1].cohort
        return self.manifest.sites if self.manifest else ()

    def begin(self, manifest: Manifest) -> None:
        """Begin the run of ``manifest``, or stand where it was interrupted.

        Raises ConfigError when the folder holds another run, FederationError when it was cancelled.
        """
        if self.manifest is None:
            self._log.append(BEGUN, packed({"manifest": manifest.to_json()}))
            self.manifest = manifest
        if self.manifest != manifest:
            raise ConfigError(
                "the folder holds the journal of another run",
                value=f"run {manifest.run_id}, manifest {manifest.sha256[:12]}",
                limit=f"run {self.manifest.run_id}, manifest {self.manifest.sha256[:12]}",
                looked=str(self.folder),
                fix="give each run a folder of its own, or resume the run that is there",
            )
        if self.cancelled:
            raise FederationError(
                "the run was cancelled and is not resumed",
                value=manifest.run_id,
                looked=str(self.folder),
                fix="begin a new run in a new folder",
            )
        self._leave_phase()
        self._tidy()
        self._unkept = []
        for path in (self._path(m.PREPARATION), *sorted(self.folder.glob("tree-*.log"))):
            self._take_books(path)
        self._take_books(self._path(m.EVALUATION))
        if self.preparation is None:
            self._open_phase(m.PREPARATION)
        self.resumed = self.preparation is not None or any(r.replies for r in self._rounds)

    def announce(self, request: m.Request, books: Books) -> Known:
        """Keep ``request`` before it is sent; say what is known of its round.

        Raises FederationError when an earlier program asked something else in its place.
        """
        self._open_phase(request.slot.tree)
        body = m.encode(request)
        if self._position == len(self._rounds):
            self._append(ANNOUNCED, packed({}, body, books))
            self._rounds.append(Known(body))
            self._position += 1
            return Known(body)
        known = self._rounds[self._position]
        if known.request != body:
            raise FederationError(
                "the program decides otherwise than the journal says it did",
                value=f"round {request.slot.position}",
                looked=str(self.folder),
                fix="end the run with the version of fed-audience that began it",
            )
        self._position += 1
        return known

    def choose(self, survivors: Sequence[str]) -> None:
        """Keep who is left of the round under way before they are asked to sign it."""
        self._append(SURVIVORS, packed({"survivors": list(survivors)}))

    def summed(self, sums: NDArray[np.int64], books: Books) -> None:
        """Keep the outcome of the round under way, int64[n].

        The disk may take its time: until the next request is kept, the round can be asked again.
        """
        self._append(SUMMED, packed({}, sums.astype(_SUM).tobytes(), books), durable=False)

    def replied(self, replies: Mapping[str, m.Reply], books: Books) -> None:
        """Keep the outcome of a round that is no sum."""
        texts = {site: m.encode(reply).hex() for site, reply in replies.items()}
        self._append(REPLIED, packed({"replies": texts}, b"", books), durable=False)

    def left_shares(self, shares: SharesLeft) -> None:
        """Keep who left shares of which roots' seeds."""
        self._log.append(SHARES, packed(asdict(shares)))
        self.shares = shares

    def warned(self, site: str, text: str) -> None:
        """Keep a warning with what is finished next; one of what was finished is kept already."""
        if (site, text) not in self._warned:
            self._unkept.append((site, text))

    def prepared(self, preparation: Preparation, books: Books) -> None:
        """Keep what was agreed before the first tree; its counts are let go."""
        preparation = replace(preparation, warnings=self._warnings())
        self._log.append(PREPARED, packed(preparation.to_document(), b"", books))
        self.preparation = preparation
        self._drop_phase()

    def trees(self, number: int) -> FinishedTrees | None:
        """Return round ``number`` of trees when it is finished."""
        return self._finished[number] if number < len(self._finished) else None

    def finish(self, trees: FinishedTrees, books: Books) -> None:
        """Keep a finished round of trees before anybody is told; its sums are let go."""
        trees = replace(trees, warnings=self._warnings())
        self._log.append(TREES, packed(trees.to_document(), b"", books))
        self._finished.append(trees)
        self._drop_phase()

    def complete(self) -> None:
        """Keep that the run is over and nothing is left to ask; its result can be had again."""
        if not self.completed:
            if self._under_way is not None:
                self._under_way.flush()
            self._log.append(COMPLETED, packed({}))
            self.completed = True

    def cancel(self) -> None:
        """Keep that the run is over and is not to be resumed."""
        self._log.append(CANCELLED, packed({}))
        self.cancelled = True
        self._drop_phase()

    def close(self) -> None:
        """Let the files go."""
        self._log.close()
        self._leave_phase()

    def _remember(self, record: Record) -> None:
        document, _, books = unpacked(record.content)
        self.books = books or self.books
        if record.kind == BEGUN:
            self.manifest = Manifest.from_json(document["manifest"])
        elif record.kind == PREPARED:
            self.preparation = Preparation.of_document(document)
            self._warned |= set(self.preparation.warnings)
        elif record.kind == TREES:
            self._finished.append(FinishedTrees.of_document(document))
            self._warned |= set(self._finished[-1].warnings)
        elif record.kind == SHARES:
            self.shares = SharesLeft.of_document(document)
        elif record.kind in {CANCELLED, COMPLETED}:
            self.cancelled = self.cancelled or record.kind == CANCELLED
            self.completed = self.completed or record.kind == COMPLETED
        else:
            raise self._unknown(record)

    def _open_phase(self, tree: int) -> None:
        """Take up the file of the rounds of ``tree``; a private run keeps all in one."""
        assert self.manifest is not None  # noqa: S101 - a journal is begun before it is written
        phase = tree if self.manifest.privacy is None else m.PREPARATION
        if phase == self._phase:
            return
        self._leave_phase()
        self._phase = phase
        self._under_way = RecordLog(self._path(phase), _UNDER_WAY)
        for record in self._under_way.records:
            self._recall(record)

    def _take_books(self, path: Path) -> None:
        """Take over the books as they stood with the last rounds in the file."""
        if path.exists():
            with RecordLog(path, _UNDER_WAY) as log:
                for record in log.records:
                    self.books = unpacked(record.content)[2] or self.books

    def _recall(self, record: Record) -> None:
        document, blob, _ = unpacked(record.content)
        if record.kind == ANNOUNCED:
            self._rounds.append(Known(blob))
            return
        known = self._rounds[-1]
        if record.kind == SURVIVORS:
            known.survivors = tuple(document["survivors"])
        elif record.kind == SUMMED:
            known.sums = np.frombuffer(blob, dtype=_SUM).astype(np.int64)
        elif record.kind == REPLIED:
            known.replies = {s: bytes.fromhex(body) for s, body in document["replies"].items()}
        else:
            raise self._unknown(record)

    def _append(self, kind: int, content: bytes, *, durable: bool = True) -> None:
        assert self._under_way is not None  # noqa: S101 - nothing is kept of a round before it
        self._under_way.append(kind, content, durable=durable)

    def _warnings(self) -> Warned:
        """Hand out the warnings since the last record."""
        found, self._unkept = tuple(self._unkept), []
        self._warned |= set(found)
        return found

    def _leave_phase(self) -> None:
        if self._under_way is not None:
            self._under_way.close()
        self._under_way, self._phase, self._rounds, self._position = None, None, [], 0

    def _drop_phase(self) -> None:
        """Remove the rounds of what is finished."""
        self._leave_phase()
        self._tidy()

    def _tidy(self) -> None:
        """Remove the files of finished phases; of a cancelled run, of all."""
        phases = [m.PREPARATION] if self.preparation else []
        phases += range(self._tidied, len(self._finished))
        paths = [self._path(phase) for phase in phases]
        if self.cancelled:
            paths = [path for path in self.folder.glob("*.log") if path != self._log.path]
        try:
            for path in paths:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise ResourceError(
                f"a file of the journal cannot be removed: {error.strerror}",
                looked=str(self.folder),
                fix="mend the folder's permissions, then resume the run",
            ) from error
        self._tidied = len(self._finished)

    def _path(self, phase: int) -> Path:
        name = {m.PREPARATION: "preparation", m.EVALUATION: "evaluation"}
        return self.folder / f"{name.get(phase, f'tree-{phase:06d}')}.log"

    def _unknown(self, record: Record) -> FederationError:
        return FederationError(
            "the journal holds a record of an unknown kind",
            value=record.kind,
            looked=str(self.folder),
            fix="end the run with the version that began it, or begin a new run",
        )

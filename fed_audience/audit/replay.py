"""Reads a log from its first byte, checking each line against everything above it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from fed_audience.audit import entries as e
from fed_audience.audit.keys import LOG_KEY, WITNESS_KEY, VerifierKey
from fed_audience.audit.lines import CheckpointLine, EntryLine, read_line
from fed_audience.audit.merkle import MerkleTree
from fed_audience.audit.notes import Checkpoint, NoteError, Roster, check_note, read_note, signer_of
from fed_audience.audit.order import EntryOrder
from fed_audience.errors import AuditError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

DISTRUST: Final = "do not rely on this log; ask every site for the checkpoint it kept, and compare"


@dataclass(frozen=True, slots=True)
class Unfinished:
    """What stands after the last checkpoint: whole entries, and bytes of a line cut short."""

    entries: int
    bytes: int


class Replay:
    """A log as far as it was read. Every method that meets a fault raises AuditError naming it.

    ``pinned``: public keys by name that the log's own must be; None accepts the log's word.
    ``keep_rounds``: whether ``entries`` holds rounds as well, of which a run has many.
    """

    def __init__(
        self,
        path: Path,
        pinned: Mapping[str, VerifierKey] | None = None,
        *,
        keep_rounds: bool = True,
    ) -> None:
        self.path = path
        self.tree = MerkleTree()
        self.order = EntryOrder()
        self.entries: list[e.Entry] = []
        self.checkpoints: list[Checkpoint] = []
        self.note = ""
        self.unfinished = Unfinished(0, 0)
        self._pinned = pinned
        self._keep_rounds = keep_rounds
        self._opened: e.LogOpened | None = None
        self._roster: Roster | None = None
        self._line = 0

    @property
    def opened(self) -> e.LogOpened:
        """The first entry."""
        if self._opened is None:
            raise AuditError("the log is empty", looked=str(self.path), fix=DISTRUST)
        return self._opened

    @property
    def roster(self) -> Roster:
        """Who signs this log."""
        if self._roster is None:
            raise AuditError("the log names no keys", looked=str(self.path), fix=DISTRUST)
        return self._roster

    def read(self, body: bytes) -> None:
        """Check every line of ``body``; what a crash may leave at its end is ``unfinished``."""
        *lines, rest = body.split(b"\n")
        for self._line, line in enumerate(lines, start=1):
            try:
                read = read_line(line)
            except (ValueError, KeyError, RecursionError):
                raise self._fault("a line of the log is no entry and no checkpoint") from None
            if isinstance(read, EntryLine):
                self._entry(read)
            else:
                self._checkpoint(read)
        self._line = len(lines)
        self.unfinished = Unfinished(self.tree.size - self.order.checkpoint, len(rest))
        _ = self.roster

    def require_finished(self) -> None:
        """Raise AuditError for a tail that no site has signed, and a training without an end."""
        if self.unfinished.bytes:
            self._line += 1
            raise self._fault(
                "the last line of the log is cut short",
                fix="if the machine stopped, the next command that uses this log recovers it; "
                f"otherwise {DISTRUST}",
            )
        if self.unfinished.entries:
            raise self._fault(
                "the sites have not counter-signed the end of the log",
                entry=self.order.checkpoint,
                fix="if the machine stopped, the next command that uses this log recovers it; "
                f"otherwise {DISTRUST}",
            )
        if self.order.training:
            raise self._fault(
                "the log ends inside of a training: its tail was cut off, or the machine stopped"
            )

    def require_kept(self, note: str, where: str) -> Checkpoint:
        """Check that this log continues a checkpoint that a party kept; return it.

        The note is signed by the coordinator, and by at least one site of the log.
        """
        try:
            kept, lines = read_note(note)
            names = {signer_of(line) for line in lines}
            sites = tuple(key for key in self.roster.sites if key.name in names)
            check_note(note, Roster(self.roster.coordinator, sites))
            fault = "" if sites else "no site of the log has signed it"
        except NoteError as error:
            fault = str(error)
        if fault:
            raise AuditError(
                f"a kept checkpoint is not one of this log's: {fault}", looked=where, fix=DISTRUST
            )
        if kept.origin != self.opened.origin:
            raise AuditError(
                "a kept checkpoint belongs to another log",
                value=kept.origin,
                limit=self.opened.origin,
                looked=where,
                fix="give the checkpoint that was kept of this run",
            )
        if kept.size > self.tree.size:
            raise AuditError(
                "the log was cut off: a party kept a checkpoint of a longer one",
                value=f"entry {self.tree.size} is missing",
                limit=f"{kept.size} entries",
                looked=f"{self.path}, against {where}",
                fix=DISTRUST,
            )
        if kept.root != self.tree.root(kept.size):
            raise AuditError(
                "the log was forked: a party kept another checkpoint of the same size",
                value=f"entry {kept.size - 1} or one above it differs",
                looked=f"{self.path}, against {where}",
                fix=DISTRUST,
            )
        return kept

    def _entry(self, line: EntryLine) -> None:
        try:
            entry = e.decode_entry(line.leaf)
        except ValidationError as error:
            raise self._fault(f"an entry is malformed: {_first(error)}") from None
        except ValueError as error:
            raise self._fault(f"an entry is malformed: {error}") from None
        try:
            self.order.follow(entry)
        except ValueError as error:
            raise self._fault(f"an entry is out of place: {error}") from None
        if isinstance(entry, e.LogOpened):
            self._open(entry)
        if isinstance(entry, e.RunStarted):
            self._check_sites(entry)
        self.tree.append(line.leaf)
        text = Checkpoint(self.opened.origin, self.tree.size, self.tree.root()).text
        if not self.roster.coordinator.verifies(text.encode(), line.signature):
            raise self._fault(
                "an entry was changed: the coordinator's signature does not match",
                entry=self.tree.size - 1,
            )
        self.keep(entry)

    def keep(self, entry: e.Entry) -> None:
        """Hold ``entry``, whose leaf is the tree's last, among the others."""
        if self._keep_rounds or type(entry) is not e.RoundSummed:
            self.entries.append(entry)

    def _open(self, entry: e.LogOpened) -> None:
        coordinator = VerifierKey.parse(entry.coordinator_key)
        sites = tuple(VerifierKey.parse(text) for text in entry.site_keys)
        names = [coordinator.name, *(key.name for key in sites)]
        kinds = {coordinator.kind == LOG_KEY, *(key.kind == WITNESS_KEY for key in sites)}
        publics = {coordinator.public_key, *(key.public_key for key in sites)}
        if kinds != {True} or len(publics) != len(names) or names[1:] != sorted(set(names[1:])):
            raise self._fault("the log's keys are not one a party, in order of their names")
        for key in (coordinator, *sites):
            if self._pinned is not None and self._pinned.get(key.name) != key:
                raise self._fault(
                    f"the log is signed by an unknown key: {key.name} is "
                    + ("pinned with another" if key.name in self._pinned else "not pinned")
                )
        self._opened, self._roster = entry, Roster(coordinator, sites)

    def _check_sites(self, entry: e.RunStarted) -> None:
        federation = self.opened.federation
        expected = {f"{federation}/{site}" for site in entry.sites}
        if expected != {key.name for key in self.roster.sites}:
            raise self._fault("the sites of the training are not those that sign its log")

    def _checkpoint(self, line: CheckpointLine) -> None:
        size = self.tree.size
        if not size:
            raise self._fault("the log does not begin with its first entry")
        try:
            found, _ = read_note(line.note)
        except NoteError as error:
            raise self._fault(f"a checkpoint is malformed: {error}") from None
        if self.checkpoints and found.size == self.checkpoints[-1].size:
            forked = found.root != self.checkpoints[-1].root
            raise self._fault(
                "the log is forked: it holds two checkpoints of one size"
                if forked
                else "a checkpoint stands in the log twice",
                entry=size - 1,
            )
        if found.origin != self.opened.origin or found.size != size:
            raise self._fault(
                f"a checkpoint of {found.size} entries stands after {size}: lines were removed, "
                "added or moved"
            )
        first = self.order.checkpoint
        if found.root != self.tree.root():
            raise self._fault(
                "the entries are not those of the checkpoint: this entry or one below it changed",
                entry=first,
            )
        try:
            check_note(line.note, self.roster)
        except NoteError as error:
            raise self._fault(
                f"a checkpoint is not to be believed: {error}; this entry or one below it, down "
                f"to entry {size - 1}, was rewritten",
                entry=first,
            ) from None
        self.order.checkpoint = size
        self.checkpoints.append(found)
        self.note = line.note

    def _fault(self, what: str, *, entry: int | None = None, fix: str = DISTRUST) -> AuditError:
        number = self.tree.size if entry is None else entry
        return AuditError(
            what, value=f"entry {number}", looked=f"{self.path}, line {self._line}", fix=fix
        )


def _first(error: ValidationError) -> str:
    first = error.errors(include_input=False, include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place}: {str(first['msg']).removeprefix('Value error, ')}"

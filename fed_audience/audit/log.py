"""Writes a log: each entry signed as it is appended, checkpoints counter-signed by every site."""

from __future__ import annotations

import fcntl
import logging
import os
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from fed_audience.audit import entries as e
from fed_audience.audit import notes
from fed_audience.audit.keys import LOG_KEY, VerifierKey
from fed_audience.audit.lines import EntryLine, checkpoint_line, entry_line, read_line
from fed_audience.audit.replay import DISTRUST, Replay
from fed_audience.audit.witness import WitnessAway
from fed_audience.errors import AuditError, ResourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from types import TracebackType

    from fed_audience.audit.keys import Signer
    from fed_audience.audit.witness import CounterSigner

EntryT = TypeVar("EntryT", bound="e.Entry")
_LOG: Final = logging.getLogger(__name__)
LOCK_SECONDS: Final = 30.0
LARGEST_POOL: Final = 64
"""Sites that are asked for their counter-signature at a time."""


def utc_now() -> datetime:
    """Return the instant, with its zone."""
    return datetime.now(UTC)


class AuditLog:
    """One log, open for writing by this process alone. Use as a context.

    Leaving the context checkpoints what is not covered yet, also after an error. ``clock`` gives
    instants with a zone; the log's own never go back. ``linked``: the sites are reached over a
    link, may be away, and then sign at a later opening what they could not sign at this one.
    """

    def __init__(
        self,
        path: Path,
        coordinator: Signer,
        witnesses: Sequence[CounterSigner],
        clock: Callable[[], datetime] = utc_now,
        *,
        linked: bool = False,
    ) -> None:
        """Open the log at ``path``; ``begin`` makes it.

        Every line of it is verified first: AuditError for a log that was tampered with, which
        nothing is appended to. What a crash left unfinished is kept where it is whole, dropped
        where it is not, and told by an entry. Raises ResourceError while another process writes.
        """
        self._signer = coordinator
        self._key = VerifierKey(coordinator.name, LOG_KEY, coordinator.public_key)
        self._witnesses = sorted(witnesses, key=lambda witness: witness.key.name)
        self._clock = clock
        self._linked = linked
        self._broken = False
        self._file = _locked(path)
        try:
            keys = (self._key, *(witness.key for witness in self._witnesses))
            self._replay = Replay(path, {key.name: key for key in keys}, keep_rounds=False)
            self._length = self._read()
            for witness in self._witnesses:
                if witness.kept is not None and witness.kept.exists():
                    note = witness.kept.read_text(encoding="utf-8")
                    self._replay.require_kept(note, str(witness.kept))
            self._recover()
        except BaseException:
            self._file.close()
            raise

    @classmethod
    def begin(
        cls,
        path: Path,
        coordinator: Signer,
        witnesses: Sequence[CounterSigner],
        clock: Callable[[], datetime] = utc_now,
        *,
        linked: bool = False,
        **opening: Any,
    ) -> AuditLog:
        """Make a log at ``path``, counter-sign its beginning and open it.

        Linked sites sign at the first ``checkpoint``.

        ``opening``: ``origin``, ``federation``, ``one_process``, ``software`` and
        ``packages_sha256`` of the entry LogOpened. Raises AuditError where a log is already, or a
        site remembers one of that origin.
        """
        if path.exists():
            raise AuditError(
                "there is a log already", looked=str(path), fix="open it, or name another run"
            )
        key = VerifierKey(coordinator.name, LOG_KEY, coordinator.public_key)
        ordered = sorted(witnesses, key=lambda witness: witness.key.name)
        entry = e.LogOpened(
            sequence=0,
            at=_instant(clock()),
            checkpoint=0,
            coordinator_key=str(key),
            site_keys=tuple(str(witness.key) for witness in ordered),
            **opening,
        )
        leaf = e.encode_entry(entry)
        replay = Replay(path)
        replay.tree.append(leaf)
        head = notes.Checkpoint(entry.origin, 1, replay.tree.root())
        unfinished = path.with_name(f"{path.name}.unfinished")
        unfinished.write_bytes(entry_line(leaf, notes.sign_text(head, coordinator)))
        unfinished.replace(path)
        log = cls(path, coordinator, witnesses, clock, linked=linked)
        if not linked:
            log.checkpoint()
        return log

    @property
    def path(self) -> Path:
        """The log's file."""
        return self._replay.path

    @property
    def uncovered(self) -> int:
        """Entries after the last checkpoint."""
        return self._replay.tree.size - self._replay.order.checkpoint

    @property
    def broken(self) -> bool:
        """Whether a line could not be written, so that nothing more will be."""
        return self._broken

    @property
    def entries(self) -> Sequence[e.Entry]:
        """Entries but rounds, those of earlier runs of the program too.

        Of rounds a run over many sites would fill the memory; ``verify`` reads them again.
        """
        return self._replay.entries

    def append(self, kind: type[EntryT], /, **fields: Any) -> EntryT:
        """Sign one entry and write it, whole or not at all; return it.

        Raises pydantic's ValidationError for what the entry has no room for, ValueError for one
        that cannot stand here, and ResourceError when the disk refuses.
        """
        self._refuse_broken()
        order, tree = self._replay.order, self._replay.tree
        at = max(order.at, _instant(self._clock()))
        entry = kind(sequence=tree.size, at=at, checkpoint=order.checkpoint, **fields)
        order.follow(entry)
        leaf = e.encode_entry(entry)
        tree.append(leaf)
        self._replay.keep(entry)
        self._write(entry_line(leaf, notes.sign_text(self._head(), self._signer)))
        return entry

    def checkpoint(self, *, durable: bool = True) -> None:
        """Let every site counter-sign what was written; nothing happens when all is covered.

        ``durable``: the disk has the entries before the sites are asked, and the signatures when
        this returns. Raises AuditError when a site refuses, WitnessAway when one is out of reach.
        """
        order, tree = self._replay.order, self._replay.tree
        self._refuse_broken()
        if order.checkpoint == tree.size:
            return
        if durable:
            os.fsync(self._file.fileno())
        head = self._head()
        line = notes.signature_line(self._key, notes.sign_text(head, self._signer))
        self._write(checkpoint_line(notes.note(head, [line, *self._countersigned(head, line)])))
        order.checkpoint = tree.size
        if durable:
            os.fsync(self._file.fileno())

    def _countersigned(self, head: notes.Checkpoint, line: str) -> list[str]:
        """Ask every site for its line; those behind a link at once, each costs a round trip."""

        def asked(witness: CounterSigner) -> str:
            return witness.countersign(head, line, lambda size: self._proof(witness, size))

        if not self._linked:
            return [asked(witness) for witness in self._witnesses]
        with ThreadPoolExecutor(max(1, min(len(self._witnesses), LARGEST_POOL))) as pool:
            return list(pool.map(asked, self._witnesses))

    def _proof(self, witness: CounterSigner, size: int) -> list[bytes]:
        tree = self._replay.tree
        if size > tree.size:
            kept = "that site's checkpoint" if witness.kept is None else f"--kept {witness.kept}"
            raise AuditError(
                "the log is shorter than the one a site remembers",
                value=f"{tree.size} entries, {witness.key.name} signed {size}",
                looked=str(self.path),
                fix=f"put the log back from a copy, and verify it with {kept}",
            )
        return tree.consistency_proof(size)

    def close(self) -> None:
        """Give the log free for other processes."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if not self._broken:
                self._settle()
        finally:
            self.close()

    def _settle(self) -> None:
        """Checkpoint; what linked sites cannot sign now, the next opening asks them for."""
        try:
            self.checkpoint()
        except WitnessAway as away:
            _LOG.info("the end of %s is not counter-signed yet: %s", self.path.name, away)

    def _refuse_broken(self) -> None:
        if self._broken:
            raise AuditError(
                "the audit log could not be written before",
                looked=str(self.path),
                fix="run the command again; the log is continued where it is whole",
            )

    def _head(self) -> notes.Checkpoint:
        tree = self._replay.tree
        return notes.Checkpoint(self._replay.opened.origin, tree.size, tree.root())

    def _read(self) -> int:
        body = self._file.read()
        self._replay.read(body)
        return len(body) - self._replay.unfinished.bytes

    def _recover(self) -> None:
        left = self._replay.unfinished
        if left.bytes:
            os.ftruncate(self._file.fileno(), self._length)
        # Before its first checkpoint a log has just been begun; linked sites may be behind.
        kept = left.entries if self._replay.checkpoints and not self._linked else 0
        if left.bytes or kept:
            self.append(e.LogRecovered, bytes_dropped=left.bytes, entries_kept=left.entries)
            if not self._linked:
                self.checkpoint()

    def _write(self, line: bytes) -> None:
        """Append a line; on failure the file is cut back to what it was."""
        try:
            written = self._file.write(line)
            refused = "" if written == len(line) else "the disk took only a part of a line"
        except OSError as error:
            refused = error.strerror or str(error)
        if refused:
            self._broken = True
            os.ftruncate(self._file.fileno(), self._length)
            raise ResourceError(
                "the audit log cannot be written, so nothing goes on without it",
                value=refused,
                looked=str(self.path),
                fix="free some space, then run the command again",
            )
        self._length += len(line)


def signing_sites(path: Path) -> tuple[str, ...]:
    """Return the names of the sites that sign the log at ``path``, as ``signing_keys``."""
    return tuple(key.name.rpartition("/")[2] for key in signing_keys(path))


def signing_keys(path: Path) -> tuple[VerifierKey, ...]:
    """Return the keys of the sites that sign the log at ``path``, as its first line has it.

    Nothing is verified but the form of that line; raises AuditError for another.
    """
    try:
        with path.open("rb") as file:
            line = read_line(file.readline().removesuffix(b"\n"))
        opened = e.decode_entry(line.leaf) if isinstance(line, EntryLine) else None
    except (OSError, ValueError):
        opened = None
    if not isinstance(opened, e.LogOpened):
        raise AuditError(
            "the log does not begin with its first entry", looked=str(path), fix=DISTRUST
        )
    return tuple(VerifierKey.parse(text) for text in opened.site_keys)


def _instant(moment: datetime) -> str:
    """Write an instant as entries have it; in TIME_FORMAT, at a third of its cost."""
    text = moment.astimezone(UTC).isoformat(timespec="microseconds")
    return f"{text.removesuffix('+00:00')}Z"


def _locked(path: Path) -> Any:
    try:
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_APPEND), "r+b", buffering=0)
    except OSError as error:
        raise AuditError(
            "the audit log cannot be opened",
            value=error.strerror,
            looked=str(path),
            fix="put the log back from a copy, or correct its permissions",
        ) from error
    until = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() < until:
                time.sleep(0.05)
                continue
            file.close()
            raise ResourceError(
                "another process is writing the audit log",
                value=f"waited {LOCK_SECONDS:g} s",
                looked=str(path),
                fix="wait until the other command has ended, then run this one again",
            ) from None
        return file

"""Verifies a log that somebody else wrote, and says what could not be verified."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fed_audience.audit.keys import read_pinned
from fed_audience.audit.replay import Replay
from fed_audience.errors import AuditError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from fed_audience.audit.entries import Entry, LogOpened
    from fed_audience.audit.merkle import MerkleTree


@dataclass(frozen=True, slots=True)
class Verification:
    """A log in which every check passed. ``unchecked``: what this verification cannot say."""

    path: Path
    opened: LogOpened
    entries: tuple[Entry, ...]
    tree: MerkleTree
    checkpoints: int
    note: str
    checked: tuple[str, ...]
    unchecked: tuple[str, ...]

    @property
    def root(self) -> str:
        """Root of the whole log, hexadecimal."""
        return self.tree.root().hex()


def verify(
    path: Path,
    *,
    pinned: Path | None = None,
    kept: Sequence[Path] = (),
    finished: bool = True,
) -> Verification:
    """Verify the log at ``path`` from its first byte to its last.

    ``pinned``: file of the parties' public keys. ``kept``: checkpoint files that parties kept,
    or folders in which theirs is looked for by the log's name. ``finished``: False accepts a log
    whose run is not over, and says what the sites have not counter-signed yet. Raises AuditError
    naming the first entry that is wrong, ConfigError for a file of keys that cannot be read.
    """
    replay = Replay(path, read_pinned(pinned) if pinned else None)
    replay.read(_body(path))
    if finished:
        replay.require_finished()
    compared = 0
    for file in _kept_files(path, kept):
        replay.require_kept(_text(file), str(file))
        compared += 1
    opened, sites = replay.opened, len(replay.roster.sites)
    checked = (
        f"{len(replay.entries)} entries: form, order, and the coordinator's signature of each",
        f"{len(replay.checkpoints)} checkpoints: one continues the other, signed by all parties",
        *((f"{sites + 1} keys are the pinned ones",) if pinned else ()),
        *((f"{compared} kept checkpoints are continued by this log",) if compared else ()),
    )
    return Verification(
        path=path,
        opened=opened,
        entries=tuple(replay.entries),
        tree=replay.tree,
        checkpoints=len(replay.checkpoints),
        note=replay.note,
        checked=checked,
        unchecked=(
            *_unchecked(opened, pinned=pinned is not None, kept=compared > 0),
            *_not_over(replay),
        ),
    )


def _not_over(replay: Replay) -> list[str]:
    left = replay.unfinished
    found = []
    if left.entries or left.bytes:
        found.append(
            f"the last {left.entries} entries: the sites have not counter-signed them yet, and "
            "the coordinator alone could write others"
        )
    if replay.order.training:
        found.append("how the run ends: it is under way, or the end of the log is missing")
    return found


def _unchecked(opened: LogOpened, *, pinned: bool, kept: bool) -> list[str]:
    found = []
    if not pinned:
        found.append(
            "whose keys these are: the log names them itself; pin them with --keys to know that "
            "nobody wrote the whole log anew under keys of their own"
        )
    if not kept:
        found.append(
            "whether entries are missing after a checkpoint that is whole: give a checkpoint "
            "that a site kept with --kept"
        )
    if opened.one_process:
        found.append(
            "whether the sites looked for themselves: coordinator and sites were one process "
            "that held every key, so its operator could have written another log"
        )
    return found


def _kept_files(path: Path, kept: Sequence[Path]) -> list[Path]:
    found = []
    for one in kept:
        files = sorted(one.rglob(f"{path.stem}.checkpoint")) if one.is_dir() else [one]
        if not files:
            raise AuditError(
                "nobody kept a checkpoint of this log there",
                value=f"{path.stem}.checkpoint",
                looked=str(one),
                fix="give the folder in which a site keeps its checkpoints, or the file itself",
            )
        found += files
    return found


def _body(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise AuditError(
            "the audit log cannot be read",
            value=error.strerror,
            looked=str(path),
            fix="give the path of a log, a .jsonl file",
        ) from error


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise AuditError(
            "a kept checkpoint cannot be read",
            value=getattr(error, "strerror", None) or "not UTF-8 text",
            looked=str(path),
            fix="give the file that a site kept",
        ) from None

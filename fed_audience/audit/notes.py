"""Checkpoints of a log as signed notes: the text, the coordinator's line, one line a site.

The forms are those of C2SP: signed-note, tlog-checkpoint and tlog-cosignature. Stricter than
there, a signature by a key that is not in the log's roster is refused and not ignored.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fed_audience.audit.keys import Signer, VerifierKey

_DASH: Final = "\N{EM DASH}"
_ID_BYTES: Final = 4
_TIME_BYTES: Final = 8
_ROOT_BYTES: Final = 32
_LINES: Final = 3


class NoteError(ValueError):
    """A note that is malformed, or signed otherwise than its roster asks."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The head of a log's tree. ``root``: 32 bytes over the first ``size`` entries."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """What is signed (C2SP tlog-checkpoint)."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """Read ``text`` back; raises NoteError for any other bytes."""
        lines = text.split("\n")
        try:
            origin, size, root = lines[:_LINES]
            found = cls(origin, int(size), base64.b64decode(root, validate=True))
        except ValueError as error:
            raise NoteError("its text is no checkpoint") from error
        if found.text != text or len(found.root) != _ROOT_BYTES or not origin:
            raise NoteError("its text is no checkpoint in canonical form")
        return found


@dataclass(frozen=True, slots=True)
class Roster:
    """Who signs a log: the coordinator's key, and a witness key for every site, sorted by name."""

    coordinator: VerifierKey
    sites: tuple[VerifierKey, ...]


def sign_text(checkpoint: Checkpoint, signer: Signer) -> bytes:
    """Return the coordinator's signature of a checkpoint, 64 bytes."""
    return signer.sign(checkpoint.text.encode())


def signature_line(key: VerifierKey, signature: bytes) -> str:
    """Return one signature as a line of a note."""
    return f"{_DASH} {key.name} {base64.b64encode(key.key_id + signature).decode()}\n"


def cosignature(checkpoint: Checkpoint, signer: Signer, time: int) -> bytes:
    """Return a site's timestamped counter-signature. ``time``: POSIX seconds, UTC."""
    return time.to_bytes(_TIME_BYTES, "big") + signer.sign(_cosigned(checkpoint, time))


def note(checkpoint: Checkpoint, lines: Sequence[str]) -> str:
    """Return a signed note: text, empty line, signature lines."""
    return f"{checkpoint.text}\n{''.join(lines)}"


def read_note(text: str) -> tuple[Checkpoint, tuple[str, ...]]:
    """Part a note into its checkpoint and signature lines; raises NoteError."""
    body, separator, signatures = text.rpartition("\n\n")
    lines = tuple(f"{line}\n" for line in signatures.split("\n")[:-1])
    if not separator or not lines or f"{body}\n\n{''.join(lines)}" != text:
        raise NoteError("it is not a signed note")
    return Checkpoint.parse(f"{body}\n"), lines


def check_coordinator(checkpoint: Checkpoint, line: str, key: VerifierKey) -> None:
    """Raise NoteError unless ``line`` is the coordinator's signature of ``checkpoint``."""
    if not key.verifies(checkpoint.text.encode(), signature_in(line, key)):
        raise NoteError(f"the signature of {key.name} does not match")


def check_site(checkpoint: Checkpoint, line: str, key: VerifierKey) -> int:
    """Raise NoteError unless ``line`` is the site's counter-signature; return its time."""
    raw = signature_in(line, key)
    time = int.from_bytes(raw[:_TIME_BYTES], "big")
    if not key.verifies(_cosigned(checkpoint, time), raw[_TIME_BYTES:]):
        raise NoteError(f"the counter-signature of {key.name} does not match")
    return time


def check_note(text: str, roster: Roster) -> Checkpoint:
    """Return a note's checkpoint, signed by the coordinator first and then by every site.

    Raises NoteError naming who did not sign, whose signature fails, or who is unknown.
    """
    checkpoint, lines = read_note(text)
    keys = (roster.coordinator, *roster.sites)
    names = [signer_of(line) for line in lines]
    for key in keys:
        if key.name not in names:
            raise NoteError(f"{key.name} has not signed it")
    for name in names:
        if name not in {key.name for key in keys}:
            raise NoteError(f"it is signed by an unknown key, {name}")
    if len(names) != len(keys):
        raise NoteError("a party has signed it twice")
    if names != [key.name for key in keys]:
        raise NoteError("its signatures are out of order")
    check_coordinator(checkpoint, lines[0], roster.coordinator)
    for line, key in zip(lines[1:], roster.sites, strict=True):
        check_site(checkpoint, line, key)
    return checkpoint


def _cosigned(checkpoint: Checkpoint, time: int) -> bytes:
    return f"cosignature/v1\ntime {time}\n{checkpoint.text}".encode()


def signer_of(line: str) -> str:
    """Return the name under which a line is signed; raises NoteError."""
    parts = line.removesuffix("\n").split(" ")
    if len(parts) != _LINES or parts[0] != _DASH:
        raise NoteError("a line of its signatures is malformed")
    return parts[1]


def signature_in(line: str, key: VerifierKey) -> bytes:
    """Return the signature in ``line``; raises NoteError unless it names ``key``."""
    if signer_of(line) != key.name:
        raise NoteError(f"it is signed by {signer_of(line)}, not by {key.name}")
    try:
        raw = base64.b64decode(line.removesuffix("\n").split(" ")[2], validate=True)
    except ValueError as error:
        raise NoteError("a signature is not base64") from error
    if signature_line(key, raw[_ID_BYTES:]) != line:
        raise NoteError(f"the signature under the name {key.name} is by an unknown key")
    return raw[_ID_BYTES:]

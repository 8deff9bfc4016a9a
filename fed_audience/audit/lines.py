"""The file of a log: one line an entry with its signature, one line a checkpoint, nothing else."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Final

from fed_audience.audit.fields import canonical

SIGNATURE_BYTES: Final = 64
_HEAD: Final = b'{"entry":'
_MIDDLE: Final = b',"signature":"'
_TAIL: Final = b'"}'
_ENCODED: Final = 4 * -(-SIGNATURE_BYTES // 3)
_CHECKPOINT: Final = b'{"checkpoint":'


@dataclass(frozen=True, slots=True)
class EntryLine:
    """An entry as it is hashed, and the coordinator's signature of the tree it makes."""

    leaf: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class CheckpointLine:
    """A checkpoint as a signed note."""

    note: str


def entry_line(leaf: bytes, signature: bytes) -> bytes:
    """Return the line of an entry, with its newline."""
    return b"".join((_HEAD, leaf, _MIDDLE, base64.b64encode(signature), _TAIL, b"\n"))


def checkpoint_line(note: str) -> bytes:
    """Return the line of a checkpoint, with its newline."""
    return canonical({"checkpoint": note}) + b"\n"


def read_line(line: bytes) -> EntryLine | CheckpointLine:
    """Read a line without its newline; raises ValueError unless it would be written like that."""
    if line.startswith(_CHECKPOINT):
        note = json.loads(line)["checkpoint"]
        if not isinstance(note, str) or checkpoint_line(note) != line + b"\n":
            raise ValueError("it is not a checkpoint in canonical form")
        return CheckpointLine(note)
    at = len(line) - len(_TAIL) - _ENCODED - len(_MIDDLE)
    leaf = line[len(_HEAD) : max(at, 0)]
    signature = base64.b64decode(line[at + len(_MIDDLE) : -len(_TAIL)], validate=True)
    if len(signature) != SIGNATURE_BYTES or entry_line(leaf, signature) != line + b"\n":
        raise ValueError("it is neither an entry nor a checkpoint")
    return EntryLine(leaf, signature)

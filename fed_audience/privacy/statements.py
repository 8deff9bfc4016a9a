"""What is signed or hashed: one unambiguous string of bytes a purpose and content."""

from __future__ import annotations

import json
from functools import lru_cache
from hashlib import sha256
from typing import Final, Literal

Purpose = Literal[
    "roster approval",
    "run key",
    "key transcript",
    "cohort",
    "round key",
    "self mask",
    "share key",
    "survivors",
    "vector",
    "pair secret",
    "overlap terms",
    "overlap salt",
    "overlap message",
    "contract",
    "joining",
    "certificate",
    "flare client",
]

_WRITER: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def statement(purpose: Purpose, **content: object) -> bytes:
    """Return the bytes for ``content``; no two purposes or contents share theirs.

    Canonical JSON behind a label and a zero byte. ``content``: strings, integers and lists.
    """
    return f"fed-audience/v1/{purpose}\0{_WRITER.encode(content)}".encode("ascii")


@lru_cache(maxsize=64)
def cohort_hash(cohort: tuple[str, ...]) -> str:
    """Hash of a set of sites, hexadecimal, whatever their order."""
    return sha256(statement("cohort", sites=sorted(cohort))).hexdigest()

"""What is signed or hashed: one unambiguous string of bytes a purpose and content."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

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
]


def statement(purpose: Purpose, **content: object) -> bytes:
    """Return the bytes for ``content``; no two purposes or contents share theirs.

    Canonical JSON behind a label and a zero byte. ``content``: strings, integers and lists.
    """
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return f"fed-audience/v1/{purpose}".encode() + b"\0" + text.encode("ascii")


def cohort_hash(cohort: Iterable[str]) -> str:
    """Hash of a set of sites, hexadecimal, whatever their order."""
    return sha256(statement("cohort", sites=sorted(cohort))).hexdigest()

"""What a tool says about a record, without the record: its words may quote what we sent."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_EMAIL = re.compile(r"[^\s@<>\"']+@[^\s@<>\"']+")
_LONG_TOKEN = re.compile(r"\b[0-9A-Fa-f]{16,}\b|(?<!\w)\+?\d[\d\s().\-]{5,}\d")
_LONGEST = 200
_SHORTEST_VALUE = 3
WITHHELD = "(withheld)"


def scrubbed(text: str, values: Iterable[str] = ()) -> str:
    """Return ``text`` on one line of at most 200 characters, without personal data.

    Removed are the given ``values`` (case-insensitively), anything like an e-mail address, a
    phone number, a hash or a long number.
    """
    line = " ".join(text.split())
    known = sorted({value for value in values if len(value) >= _SHORTEST_VALUE}, key=len)
    for value in reversed(known):
        line = re.sub(re.escape(value), WITHHELD, line, flags=re.IGNORECASE)
    line = _LONG_TOKEN.sub(WITHHELD, _EMAIL.sub(WITHHELD, line))
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"

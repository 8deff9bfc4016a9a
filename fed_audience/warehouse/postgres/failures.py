"""What PostgreSQL says, in one line that holds no value of a row."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import psycopg

from fed_audience.errors import ResourceError, WarehouseError

if TYPE_CHECKING:
    from collections.abc import Iterator

_QUOTED: Final = re.compile(r"\"[^\"]*\"|'[^']*'")
_SERVER_SAID: Final = re.compile(r"(ERROR|FATAL|PANIC):\s+(.*)")

# Classes of SQLSTATE whose sentences name objects and limits. Those of the others, above all of
# 22 (data) and 23 (integrity), may quote what stands in a row.
_SPEAK_OF_OBJECTS: Final = frozenset(
    {"08", "0A", "25", "28", "3D", "3F", "40", "42", "53", "54", "55", "57", "58"}
)
_FIXES: Final = {
    "08": "check that the server runs and what profiles.yml says of it, then run this again",
    "28": "correct user, password and sslmode of this target in profiles.yml",
    "3D": "create that database, or correct dbname of this target in profiles.yml",
    "3F": "run `dbt build` for this brand, so that its schemas exist",
    "40": "run this again; another program changed the same rows at the same moment",
    "42": "run `dbt build` for this brand, so that its relations and columns are current",
    "57": "check that the server runs, then run this again; an open transaction was undone",
}
_NO_RIGHT: Final = "42501"
_LOST: Final = "08000"


@contextmanager
def in_one_line(where: str) -> Iterator[None]:
    """Turn whatever PostgreSQL or its drivers raise into WarehouseError or ResourceError."""
    try:
        yield
    except psycopg.Error as error:
        # libpq itself, unlike the server, gives no state to what befalls a connection.
        state = _LOST if isinstance(error, psycopg.OperationalError) else None
        said = error.diag.message_primary or str(error)
        raise warehouse_error(error.sqlstate or state, said, where) from None


def warehouse_error(state: str | None, said: str, where: str) -> WarehouseError | ResourceError:
    """Return the error for SQLSTATE ``state``, None where there was none."""
    kind = (state or "")[:2]
    line = " ".join(said.strip().partition("\n")[0].split())
    if kind not in _SPEAK_OF_OBJECTS:
        masked = _QUOTED.sub("(value withheld)", line)
        line = masked if masked != line else "a value in the data is not accepted"
        line = f"{line} (SQLSTATE {state})" if state else line
    if kind == "53" or state == "58030":
        return ResourceError(
            f"the warehouse ran out of room: {line}",
            looked=where,
            fix="free disk space, memory or connections of the server, then run this again",
        )
    fix = _FIXES.get(kind, "correct the statement or the data that it reads; nothing was changed")
    if state == _NO_RIGHT:
        fix = "grant the user of this target that right, or set `role` in profiles.yml"
    return WarehouseError(line, looked=where, fix=fix)


def reading_error(error: Exception, where: str) -> WarehouseError | ResourceError:
    """Return the error for what stopped a stream; its driver hands on text, not a state."""
    text = str(error)
    said = _SERVER_SAID.search(text)
    if said is None:
        lost = text.rpartition("[libpq]")[2].strip() or "the connection ended"
        return warehouse_error(_LOST, lost, where)
    severity, sentence = said.groups()
    state = getattr(error, "sqlstate", None) or (None if severity == "ERROR" else _LOST)
    return warehouse_error(state, sentence, where)

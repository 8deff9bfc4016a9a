"""What a database says with an SQLSTATE, in one line that holds no value of a row."""

from __future__ import annotations

import re
from typing import Final

from fed_audience.errors import ResourceError, WarehouseError

_QUOTED: Final = re.compile(r"\"[^\"]*\"|'[^']*'")

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
LOST: Final = "08000"
"""State of a connection that ended."""


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

"""What a whole run of a fuzz command found, kept beside the benchmarks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.results import circumstances, machine, write

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path


def keep(results: Path, name: str, command: str, began: datetime, found: dict[str, Any]) -> None:
    """Write ``found`` as part ``name`` of ``results``, a JSON, with what it was found under."""
    write({name: {**circumstances(command, began, machine(), []), **found}}, results)

"""What the scale part is held to, each figure computed from the rows of a run."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Final

from benchmarks.goals import Goal

Rows = list[dict[str, Any]]


def _slope(rows: Rows) -> float | None:
    """Return the milliseconds that a site costs, from the fewest sites to the most."""
    if len(rows) < 2:
        return None
    first, last = rows[0], rows[-1]
    return float((last["median_ms"] - first["median_ms"]) / (last["sites"] - first["sites"]))


def _steepest(rows: Rows) -> float | None:
    """Compare the steepest stretch between two numbers of sites with the whole: 1 is a line."""
    whole = _slope(rows)
    if not whole:
        return None
    found = [_slope(list(pair)) or 0.0 for pair in pairwise(rows)]
    return max(found) / whole


def _peak(rows: Rows) -> float | None:
    return float(rows[0]["peak_mib"]) if rows else None


GOALS: Final[dict[str, tuple[Goal[Rows], ...]]] = {
    "rounds": (
        Goal("one round from 10 to 500 sites, 10 KB both ways, ms a site", 0.6, None, _slope),
        Goal("its steepest stretch / the whole, 1 = linear", 1.5, None, _steepest),
    ),
    "memory": (
        Goal(
            "coordinator, 500 sites, 200 features x 255 bins x 32 nodes, peak MiB",
            1024,
            None,
            _peak,
            form=".0f",
        ),
    ),
}
"""Part -> its figures."""

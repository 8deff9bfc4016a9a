"""What the scale part is held to, each figure computed from the rows of a run."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Final

from benchmarks.goals import Goal

Rows = list[dict[str, Any]]
SITES: Final = 500


def _whole(rows: Rows) -> bool:
    return bool(rows) and rows[-1]["sites"] == SITES


def _slope(rows: Rows) -> float | None:
    """Return the milliseconds that a site costs, from the fewest sites to the most."""
    if len(rows) < 2 or not _whole(rows):
        return None
    return _between(rows[0], rows[-1])


def _between(first: dict[str, Any], last: dict[str, Any]) -> float:
    return float((last["median_ms"] - first["median_ms"]) / (last["sites"] - first["sites"]))


def _steepest(rows: Rows) -> float | None:
    """Compare the steepest stretch between two numbers of sites with the whole: 1 is a line."""
    whole = _slope(rows)
    if not whole:
        return None
    return max(_between(*pair) for pair in pairwise(rows)) / whole


def _last(figure: str, rows: Rows) -> float | None:
    return float(rows[-1][figure]) if _whole(rows) else None


GOALS: Final[dict[str, tuple[Goal[Rows], ...]]] = {
    "rounds": (
        Goal("one round from 10 to 500 sites, 10 KB both ways, ms a site", 0.6, 0.35, _slope),
        Goal("its steepest stretch / the whole, 1 = linear", 1.5, None, _steepest),
    ),
    "memory": (
        Goal(
            "coordinator, 500 sites, 200 features x 255 bins x 32 nodes, peak MiB",
            1024,
            None,
            lambda rows: _last("peak_mib", rows),
            form=".0f",
        ),
    ),
    "training": (
        Goal(
            "a training of 2 trees over 500 sites with secure sums, seconds",
            300,
            None,
            lambda rows: _last("seconds", rows),
            form=".0f",
        ),
    ),
}
"""Part -> its figures."""

"""A part of results.json and of the page that is drawn from the rows of its measurements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.page import circumstances as in_a_line
from benchmarks.page import goal_table, table
from benchmarks.results import circumstances

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from benchmarks.goals import Goal
    from benchmarks.privacy.goals import Found
    from benchmarks.privacy.plan import Measurement

    Samples = dict[Measurement, list[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Part:
    """What a part is made of: its blocks with what they measure, and what it is held to."""

    blocks: Mapping[str, str]
    goals: Sequence[Goal[Found]]


def rows_of(samples: Mapping[Measurement, Sequence[dict[str, Any]]]) -> Found:
    """Return the rows of each block that was measured."""
    return {
        measurement.block: taken[0]["rows"]
        for measurement, taken in samples.items()
        if "rows" in taken[0]
    }


def problems(samples: Mapping[Measurement, Sequence[dict[str, Any]]]) -> dict[str, str]:
    """Return why a block was not measured, by block."""
    return {
        measurement.block: why
        for measurement, taken in samples.items()
        if (why := taken[0].get("failed") or taken[0].get("unavailable"))
    }


def document(
    part: Part, samples: Samples, command: str, began: datetime, before: dict[str, Any]
) -> dict[str, Any]:
    """Return what results.json holds of ``part``."""
    found = rows_of(samples)
    every = [one for taken in samples.values() for one in taken]
    return {
        **circumstances(command, began, before, every),
        "goals": [goal.state(found) for goal in part.goals],
        "measurements": [
            {
                "block": measurement.block,
                "what": part.blocks[measurement.block],
                "problem": problems(samples).get(measurement.block, ""),
                "seconds": taken[0].get("seconds"),
                "rows": taken[0].get("rows", []),
            }
            for measurement, taken in samples.items()
        ],
    }


def tables(content: dict[str, Any]) -> str:
    """Draw all tables, in Markdown."""
    parts = [in_a_line(content), goal_table(content["goals"])]
    for one in content["measurements"]:
        what = one["what"]
        parts.append(f"### {what[0].upper()}{what[1:]}")
        parts.append(one["problem"] or rows_table(one["rows"]))
        if one["seconds"]:
            parts.append(f"Took {one['seconds']['wall']:.0f} s.")
    return "\n\n".join(parts)


def rows_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Draw rows that are alike; a figure that a row has not stays empty."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    head = [name.replace("_", " ") for name in names]
    return table(head, [[_cell(row.get(name)) for name in names] for row in rows])


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)

"""Partial dependence in the terminal: one line a feature, or a bar for each range of one."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np
from rich.table import Table

from fed_audience.gbdt.explanation import PartialDependence, partial_dependence
from fed_audience.gbdt.models.cover_levels import told_cover

if TYPE_CHECKING:
    from rich.console import Console

    from fed_audience.cli.model_file import ModelFile

_BLOCKS: Final = "▁▂▃▄▅▆▇█"
_CURVE: Final = 24
_BAR: Final = 30
_ROWS: Final = 20
_TOP_FEATURES: Final = 20
_SCORES: Final = {
    "binary": "log odds",
    "cross_entropy": "log odds",
    "poisson": "log of the expected count",
    "tweedie": "log of the expected value",
    "multiclass": "score before softmax",
}
_ROUGH: Final = (
    "This file tells no cover, so branches are weighed by their number of leaves: take the shape "
    "of each curve, not its size."
)


def show_effects(file: ModelFile, score: int, console: Console) -> None:
    """Print the features by how far the mean score moves with each, and the curve."""
    used = {feature for tree in file.model.trees for feature in tree.split_feature}
    names = [name for index, name in enumerate(file.model.features) if index in used]
    found = [partial_dependence(file.model, name) for name in names]
    found.sort(key=lambda one: -float(np.ptp(one.values[score])))
    _head(file, score, console)
    table = Table("feature", "moves by", "over its values, from low to high", box=None)
    table.header_style = "dim"
    table.columns[1].justify = "right"
    for one in found[:_TOP_FEATURES]:
        curve = one.values[score]
        table.add_row(one.feature, f"{np.ptp(curve):.4g}", _curve(curve))
    console.print(table)
    if len(found) > _TOP_FEATURES:
        console.print(f"... and {len(found) - _TOP_FEATURES} more", style="dim")
    idle = len(file.model.features) - len(found)
    if idle:
        console.print(f"{idle} features are in no split and move nothing.")


def show_feature(file: ModelFile, feature: str, score: int, console: Console) -> None:
    """Print the mean score for each range or category of ``feature``."""
    found = partial_dependence(file.model, feature)
    _head(file, score, console)
    values = found.values[score]
    rows = _categories(found, values) if found.categories else _ranges(found, values)
    rows.append(("missing or unknown" if found.categories else "missing", found.missing[score]))
    low = min(value for _, value in rows)
    span = max(value for _, value in rows) - low
    table = Table(feature, "mean score", "", box=None, header_style="dim")
    table.columns[1].justify = "right"
    for name, value in rows:
        bar = round(_BAR * (value - low) / span) if span else 0
        table.add_row(name, f"{value:+.4f}", "█" * bar or "▏")
    console.print(table)
    if not found.categories and len(rows) < len(values) + 1:
        console.print(
            f"{len(values)} steps are joined where the score moves least; a joined range shows "
            "their mean.",
        )


def _head(file: ModelFile, score: int, console: Console) -> None:
    objective = file.model.objective.split(" ")[0]
    classes = f", class {score} of {file.model.classes}" if file.model.classes > 1 else ""
    unit = _SCORES.get(objective, "predicted value")
    console.print(f"{file.path.name}  mean score ({unit}){classes}", style="bold")
    if told_cover(file.model.trees) == "none":
        console.print(_ROUGH)


def _curve(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> str:
    """Eighth blocks, at most so many: the value at evenly spaced steps."""
    places = np.linspace(0, len(values) - 1, min(_CURVE, len(values))).round().astype(np.int64)
    low, span = float(values.min()), float(np.ptp(values))
    heights = np.zeros(len(places)) if not span else (values[places] - low) / span * 7
    return "".join(_BLOCKS[round(height)] for height in heights.tolist())


def _ranges(
    found: PartialDependence, values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]
) -> list[tuple[str, float]]:
    """Ranges between the borders where the score jumps most, at most _ROWS of them."""
    if not found.borders:
        return [("any value", float(values[0]))]
    jumps = np.abs(np.diff(values))
    kept = np.sort(np.argsort(-jumps, kind="stable")[: _ROWS - 1])
    cuts = [f"{found.borders[place]:g}" for place in kept]
    names = [
        f"up to {cuts[0]}",
        *(f"{low} to {high}" for low, high in pairwise(cuts)),
        f"above {cuts[-1]}",
    ]
    parts = np.split(values, kept + 1)
    return [(name, float(part.mean())) for name, part in zip(names, parts, strict=True)]


def _categories(
    found: PartialDependence, values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]
) -> list[tuple[str, float]]:
    """Codes with the highest and the lowest scores, highest first; the rest joined."""
    order = np.argsort(-values, kind="stable")
    rows = [(f"code {found.categories[place]}", float(values[place])) for place in order]
    if len(rows) <= _ROWS:
        return rows
    half = _ROWS // 2
    between = rows[half:-half]
    mean = float(np.mean([value for _, value in between]))
    return [*rows[:half], (f"{len(between)} codes between", mean), *rows[-half:]]

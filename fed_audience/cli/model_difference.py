"""Two models side by side, in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from fed_audience.gbdt.models.cover_levels import told_cover

if TYPE_CHECKING:
    from rich.console import Console

    from fed_audience.cli.model_file import ModelFile
    from fed_audience.gbdt.models.difference import ModelDifference

_SHOWN = 10


def show_difference(
    files: tuple[ModelFile, ModelFile], found: ModelDifference, console: Console
) -> None:
    """Print both files, the verdict, and every kind of difference that there is."""
    for name, file in zip("AB", files, strict=True):
        told = told_cover(file.model.trees)
        line = f"{name}  {file.path}: {file.summary}, cover {told}, sha256 {file.sha256[:16]}"
        console.print(line, soft_wrap=True)
    if found.same:
        same_bytes = files[0].sha256 == files[1].sha256
        how = "to the byte" if same_bytes else "in every score; the texts tell different things"
        console.print(f"The models are the same {how}.")
        return
    console.print("The models differ:")
    table = Table("", "A", "B", box=None, header_style="dim")
    if found.objectives[0] != found.objectives[1]:
        table.add_row("objective", *found.objectives)
    if found.added or found.removed:
        table.add_row("features only here", _some(found.removed), _some(found.added))
    if found.reordered:
        table.add_row("order of features", "", "another")
    for name, first, second in found.bins[:_SHOWN]:
        table.add_row(f"bins of {name}", _short(first), _short(second))
    if len(found.bins) > _SHOWN:
        table.add_row(f"bins of {len(found.bins) - _SHOWN} more features", "", "")
    table.add_row("trees", *(f"{trees:,}" for trees in found.trees))
    table.add_row("equal trees from the first on", f"{found.common_trees:,}", "")
    if found.node is not None:
        table.add_row(_place(found.node.tree, found.node.path), found.node.first, found.node.second)
    if found.leaf is not None:
        label = f"largest leaf difference, {_place(found.leaf.tree, found.leaf.path)}"
        table.add_row(label, repr(found.leaf.first), repr(found.leaf.second))
    console.print(table)


def _place(tree: int, path: str) -> str:
    return f"tree {tree}, {path or 'its root'}"


def _some(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _short(info: str) -> str:
    return f"{info.count(':') + 1} categories" if info[0] not in "[n" else info

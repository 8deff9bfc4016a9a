"""`fed-audience model`: look at a model file without trusting it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fed_audience.gbdt.reader import ModelText

ModelFile = Annotated[Path, typer.Argument(metavar="MODEL", help="A LightGBM model text.")]

_TOP_FEATURES = 20


def check(path: ModelFile) -> None:
    """Check every size, index and number of a model file; exit code 9 when it is not sound."""
    model, digest = _read(path)
    typer.echo(f"{path}: sound, {_summary(model)}, sha256 {digest}")


def inspect(path: ModelFile) -> None:
    """Show what a model file holds: trees, features, splits, and what it tells about its rows."""
    from rich.console import Console  # noqa: PLC0415 - rich costs start-up time
    from rich.table import Table  # noqa: PLC0415 - the same

    model, digest = _read(path)
    console = Console()
    console.print(f"[bold]{path.name}[/]  {_summary(model)}", highlight=False)
    console.print(f"sha256 {digest}", highlight=False)
    splits = [0] * len(model.features)
    gains = [0.0] * len(model.features)
    for tree in model.trees:
        for feature, gain in zip(tree.split_feature, tree.split_gain, strict=True):
            splits[feature] += 1
            gains[feature] += gain
    order = sorted(range(len(splits)), key=lambda f: (-gains[f], -splits[f], f))
    table = Table("feature", "kind", "splits", "gain", box=None, header_style="dim")
    for column in table.columns[2:]:
        column.justify = "right"
    for feature in order[:_TOP_FEATURES]:
        kind = "number" if model.feature_infos[feature].startswith(("[", "none")) else "category"
        gain_text = f"{gains[feature]:,.1f}" if any(gains) else "not told"
        table.add_row(model.features[feature], kind, f"{splits[feature]:,}", gain_text)
    console.print(table)
    if len(order) > _TOP_FEATURES:
        console.print(f"... and {len(order) - _TOP_FEATURES} more", style="dim")
    told = any(count > 1 for tree in model.trees for count in tree.leaf_count)
    console.print(
        "Leaf counts are in the file: they tell how rows are distributed. Share it with care."
        if told
        else "No counts, gains or hessians are in the file: it tells cuts and leaf values only.",
        highlight=False,
    )


def _summary(model: ModelText) -> str:
    leaves = sum(tree.leaves for tree in model.trees)
    depth = max(tree.depth for tree in model.trees)
    return (
        f"{len(model.trees):,} trees, {leaves:,} leaves, at most {depth} deep, "
        f"{len(model.features):,} features, objective {model.objective}"
    )


def _read(path: Path) -> tuple[ModelText, str]:
    from hashlib import sha256  # noqa: PLC0415 - kept beside its one use

    from fed_audience.errors import DataError, ModelFormatError  # noqa: PLC0415 - start-up time
    from fed_audience.gbdt.reader import read_model  # noqa: PLC0415 - the same

    try:
        body = path.read_bytes()
    except OSError as error:
        raise DataError(
            "the model file cannot be read",
            value=error.strerror,
            looked=str(path),
            fix="give the path of a model text",
        ) from error
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ModelFormatError(
            "the model file is not UTF-8 text",
            looked=f"{path}, byte {error.start}",
            fix="give the path of a model text",
        ) from error
    return read_model(text), sha256(body).hexdigest()

"""`fed-audience model`: look at a model file without trusting it."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations when it runs
from typing import TYPE_CHECKING, Annotated, Final

import typer

from fed_audience.cli.model_file import ModelPath, read_model_file
from fed_audience.errors import ModelsDiffer, UsageError

if TYPE_CHECKING:
    from fed_audience.gbdt.models.reader import ModelText

_TOP_FEATURES: Final = 20
_TOLD: Final = {
    "none": "none: no counts, gains or hessians are in the file, only cuts and leaf values.",
    "coarse": "coarse: each split tells roughly what share goes left; no gains or hessians.",
    "counts": "counts: leaf counts are in the file and tell how rows are spread. Keep it at home.",
    "full": "full: gains and counts are in the file and tell how rows are spread. "
    "Share it with care.",
}


def check(path: ModelPath) -> None:
    """Check every size, index and number of a model file; exit code 9 when it is not sound."""
    file = read_model_file(path)
    typer.echo(f"{path}: sound, {file.summary}, sha256 {file.sha256}")


def inspect(path: ModelPath) -> None:
    """Show what a model file holds: trees, importance, and what it tells about its rows."""
    from rich.console import Console  # noqa: PLC0415 - rich costs start-up time
    from rich.table import Table  # noqa: PLC0415 - the same

    from fed_audience.gbdt.explanation import importance  # noqa: PLC0415 - the same
    from fed_audience.gbdt.models.cover_levels import told_cover  # noqa: PLC0415 - the same

    file = read_model_file(path)
    model = file.model
    # A name in the file could hold markup.
    console = Console(markup=False, highlight=False)
    console.print(f"{path.name}  {file.summary}", style="bold")
    console.print(f"sha256 {file.sha256}")
    console.print(f"cover  {_TOLD[told_cover(model.trees)]}")
    console.print(f"privacy  {model.privacy or 'the file promises none'}", soft_wrap=True)
    if model.classes > 1:
        console.print(_classes(model))
    found = importance(model)
    order = sorted(found, key=lambda name: (-found[name].gain, -found[name].splits))
    told = any(one.gain for one in found.values())
    table = Table("feature", "kind", "splits", "gain", box=None, header_style="dim")
    for column in table.columns[2:]:
        column.justify = "right"
    infos = dict(zip(model.features, model.feature_infos, strict=True))
    for name in order[:_TOP_FEATURES]:
        kind = "number" if infos[name].startswith(("[", "none")) else "category"
        gain = f"{found[name].gain:,.1f}" if told else "not told"
        table.add_row(name, kind, f"{found[name].splits:,}", gain)
    console.print(table)
    if len(order) > _TOP_FEATURES:
        console.print(f"... and {len(order) - _TOP_FEATURES} more", style="dim")


def explain(
    path: ModelPath,
    feature: Annotated[
        str | None, typer.Option(help="Show the mean score by value of this feature.")
    ] = None,
    score: Annotated[
        int, typer.Option("--class", min=0, help="Class whose score is shown, of several.")
    ] = 0,
) -> None:
    """Show how the mean score moves with each feature (partial dependence), from the file alone.

    Branches that other features decide are weighed by the covers in the file. A shared file
    tells none, so there a branch weighs its number of leaves: shapes hold, sizes are rough.
    """
    from rich.console import Console  # noqa: PLC0415 - rich costs start-up time

    from fed_audience.cli.dependence import show_effects, show_feature  # noqa: PLC0415 - the same

    file = read_model_file(path)
    if score >= file.model.classes:
        raise UsageError(
            "the model has no such class",
            value=score,
            limit=f"0 to {file.model.classes - 1}",
            fix="leave --class out, or name one of the model's classes",
        )
    console = Console(markup=False, highlight=False)
    if feature is None:
        show_effects(file, score, console)
    else:
        show_feature(file, feature, score, console)


def diff(
    first: Annotated[Path, typer.Argument(metavar="A", help="A LightGBM model text.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="Another.")],
) -> None:
    """Say whether two model files score alike, and where they part; exit code 12 if they differ.

    Compared: objective, features, bins, splits and leaf values. What a file tells of its rows
    (cover) does not count.
    """
    from rich.console import Console  # noqa: PLC0415 - rich costs start-up time

    from fed_audience.cli.model_difference import show_difference  # noqa: PLC0415 - the same
    from fed_audience.gbdt.models.difference import model_difference  # noqa: PLC0415 - the same

    files = read_model_file(first), read_model_file(second)
    found = model_difference(files[0].model, files[1].model)
    show_difference(files, found, Console(markup=False, highlight=False))
    if not found.same:
        raise ModelsDiffer(
            "the models differ",
            looked=f"{first} and {second}",
            fix="to get the same model, train on the same rows, manifest and version",
        )


def _classes(model: ModelText) -> str:
    leaves = [0] * model.classes
    for index, tree in enumerate(model.trees):
        leaves[index % model.classes] += tree.leaves
    of = ", ".join(f"{k}: {count:,}" for k, count in enumerate(leaves))
    return f"class  leaves of each of {model.classes} classes, {of}"

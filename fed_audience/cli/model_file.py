"""Reading a model file that nobody has vouched for."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fed_audience.errors import DataError, ModelFormatError

if TYPE_CHECKING:
    from fed_audience.gbdt.models.reader import ModelText

ModelPath = Annotated[Path, typer.Argument(metavar="MODEL", help="A LightGBM model text.")]


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A checked model text and the hash of the file's bytes."""

    path: Path
    model: ModelText
    sha256: str

    @property
    def summary(self) -> str:
        """Trees, leaves, depth, features and objective in a line."""
        leaves = sum(tree.leaves for tree in self.model.trees)
        depth = max(tree.depth for tree in self.model.trees)
        classes = self.model.classes
        by_class = f" ({len(self.model.trees) // classes:,} a class)" if classes > 1 else ""
        return (
            f"{len(self.model.trees):,} trees{by_class}, {leaves:,} leaves, at most {depth} deep, "
            f"{len(self.model.features):,} features, objective {self.model.objective}"
        )


def read_model_file(path: Path) -> ModelFile:
    """Read and check ``path``. Raises DataError or ModelFormatError, naming the place."""
    from fed_audience.gbdt.models.reader import read_model  # noqa: PLC0415 - start-up time

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
    return ModelFile(path, read_model(text), sha256(body).hexdigest())

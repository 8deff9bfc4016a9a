"""Base scores of brands: the one number in which a site's copy of the model is its own.

A brand follows a column of the rows, so it is the same wherever they are stored. Its base score
comes from its own training labels, shrunk towards that of all brands; nothing about it leaves.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np

from fed_audience.gbdt.models.predictor import raw_scores

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fed_audience.gbdt.growing.booster import RowBooster
    from fed_audience.gbdt.models.model import Model

    Floats = NDArray[np.float64]
    Scores = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class BrandColumn:
    """Whose customer each row is: ``codes`` int64[n] into ``names``."""

    names: tuple[str, ...]
    codes: NDArray[np.int64]


@dataclass(slots=True)
class BrandScores:
    """The brands of a site's rows, their label sums, and once a run has begun their bases."""

    column: BrandColumn
    booster: RowBooster
    sums: tuple[NDArray[np.int64], ...]
    bases: tuple[Scores, ...] = ()

    @classmethod
    def of(cls, column: BrandColumn, booster: RowBooster) -> Self:
        """Sum the training labels of each brand."""
        rows = booster.rows
        codes, labels = column.codes[rows.training], rows.labels[rows.training]
        weights = rows.weights_of(rows.training)
        sums = []
        for code in range(len(column.names)):
            own = codes == code
            of_brand = None if weights is None else weights[own]
            sums.append(booster.objective.label_sums(labels[own], of_brand))
        return cls(column, booster, tuple(sums))

    def first_scores(self, base: Scores) -> Floats:
        """Set each brand's base score near ``base``, that of all brands: float64[classes, n]."""
        shrunk = self.booster.objective.shrunk_base_scores
        self.bases = tuple(shrunk(own, base) for own in self.sums)
        return np.array(self.bases).T[:, self.column.codes]

    def models(self, shared: Model) -> dict[str, Model]:
        """Each brand's own copy of ``shared``: the same trees, its own base score."""
        return {
            name: replace(shared, base_scores=base)
            for name, base in zip(self.column.names, self.bases, strict=True)
        }


def validation_scores(
    model: Model, booster: RowBooster, brands: BrandScores | None, *, threads: int
) -> Floats:
    """Raw scores of the validation rows, float64[classes, n], by their brands' own copies."""
    codes = booster.validation_codes()
    scores = np.empty((model.classes, len(codes)))
    if brands is None:
        scores[:] = raw_scores(model, codes, threads=threads)
        return scores
    rows = brands.column.codes[booster.rows.validation]
    for code, copy in enumerate(brands.models(model).values()):
        own = rows == code
        scores[:, own] = raw_scores(copy, codes[own], threads=threads)
    return scores

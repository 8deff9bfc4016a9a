"""What a site keeps of a training for itself: base scores of its brands, trees of its own.

Computed at the site from its own rows after the shared trunk is finished. Nothing of it leaves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fed_audience.errors import FederationError
from fed_audience.gbdt.growing.continuation import continuation_parameters, continue_locally
from fed_audience.gbdt.growing.local_growth import TrunkRows
from fed_audience.gbdt.models.predictor import raw_scores

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fed_audience.federation.brand_scores import BrandScores
    from fed_audience.federation.manifest import Manifest
    from fed_audience.gbdt.bins import FeatureBins
    from fed_audience.gbdt.growing.booster import RowBooster
    from fed_audience.gbdt.growing.continuation import Continuation
    from fed_audience.gbdt.models.model import Model
    from fed_audience.gbdt.parameters import TrainingParameters


@dataclass(frozen=True, slots=True)
class OwnCopies:
    """A site's rows after a training, ready to make its own copies of the model.

    ``groups``: uint64[n], hashes of the group key; without one every row is a group of its own.
    """

    manifest: Manifest
    bins: tuple[FeatureBins, ...]
    booster: RowBooster
    brands: BrandScores | None
    groups: NDArray[np.uint64] | None

    def models(self, trunk: Model) -> dict[str, Model]:
        """Return copies of ``trunk`` by brand, each with its brand's own base score.

        Empty where the run gives brands no base score.
        """
        return {} if self.brands is None else self.brands.models(trunk)

    def continuation(
        self, trunk: Model, parameters: TrainingParameters | None = None
    ) -> Continuation:
        """Grow trees of the site's own on top of ``trunk``, or none where it is as good.

        ``parameters``: of the local trees, by default ``continuation_parameters`` of the run.
        Raises FederationError for a model of other bins than the run's.
        """
        if trunk.bins != self.bins:
            raise FederationError(
                "the model to continue has other bins than the site's last training",
                fix="continue a model right after its training",
            )
        booster = self.booster
        alone = np.arange(booster.rows.matrix.rows, dtype=np.uint64)
        return continue_locally(
            TrunkRows(
                booster.rows, self._scores(trunk), alone if self.groups is None else self.groups
            ),
            self.manifest.features,
            self.bins,
            booster.objective,
            parameters or continuation_parameters(self.manifest.parameters),
            team=booster.team,
        )

    def _scores(self, trunk: Model) -> NDArray[np.float64]:
        """Raw scores of all rows by their brands' own copies: float64[classes, n]."""
        codes = np.ascontiguousarray(self.booster.rows.matrix.columns.T)
        scores = np.empty((trunk.classes, len(codes)))
        if self.brands is None:
            scores[:] = raw_scores(trunk, codes, threads=self.booster.team.threads)
            return scores
        for code, copy in enumerate(self.brands.models(trunk).values()):
            own = self.brands.column.codes == code
            scores[:, own] = raw_scores(copy, codes[own], threads=self.booster.team.threads)
        return scores

"""Growing trees from the rows of one place, in one process, on top of a model's scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from fed_audience.gbdt.growing.booster import BinnedRows, RowBooster
from fed_audience.gbdt.growing.histogram_pool import HistogramPool
from fed_audience.gbdt.growing.lockstep import LockstepGrowth
from fed_audience.gbdt.growing.sampling import drawn_features
from fed_audience.gbdt.objectives import BASE_PRIOR_ROWS
from fed_audience.gbdt.tree import NodeSums, Tree

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from fed_audience.gbdt.bins import Feature, FeatureBins
    from fed_audience.gbdt.growing.grower import NodeSplit
    from fed_audience.gbdt.kernels.team import Team
    from fed_audience.gbdt.objectives import Objective
    from fed_audience.gbdt.parameters import TrainingParameters
    from fed_audience.gbdt.tree import Split

    Floats = NDArray[np.float64]

_BASE_STEPS: Final = 8
_TOO_SMALL: Final = 1e-9


@dataclass(frozen=True, slots=True)
class TrunkRows:
    """All n rows of a site, with what the shared trunk says of them.

    ``scores``: float64[classes, n], raw scores of the trunk. ``groups``: uint64[n]; rows of equal
    value are held out together.
    """

    rows: BinnedRows
    scores: Floats
    groups: NDArray[np.uint64]

    @property
    def unseen(self) -> NDArray[np.bool_]:
        """Rows that did not train the trunk: bool[n]."""
        return np.arange(len(self.groups)) >= self.rows.training_rows

    def ordered(self, order: NDArray[np.int64], training_rows: int) -> BinnedRows:
        """Return the rows ``order``, of which the first ``training_rows`` train."""
        weights = self.rows.weights
        return BinnedRows(
            self.rows.matrix.take(order),
            self.rows.labels[order],
            training_rows,
            None if weights is None else weights[order],
        )


class LocalGrowth:
    """Rounds of trees in this process, all with the same options."""

    def __init__(
        self,
        features: Sequence[Feature],
        bins: Sequence[FeatureBins],
        objective: Objective,
        parameters: TrainingParameters,
        team: Team,
    ) -> None:
        self.bins = bins
        self.objective = objective
        self.parameters = parameters
        self._names = [feature.name for feature in features]
        self._monotone = parameters.monotone_signs(features)
        self._team = team
        self._pool = HistogramPool()

    def booster(
        self, trunk: TrunkRows, order: NDArray[np.int64], training_rows: int
    ) -> tuple[RowBooster, Floats]:
        """Rows in ``order`` at the trunk's scores plus the training rows' own shift of the base.

        Returns that shift too, float64[classes].
        """
        booster = RowBooster(
            trunk.ordered(order, training_rows),
            self.bins,
            self.objective,
            self.parameters,
            team=self._team,
        )
        scores = trunk.scores[:, order]
        shift = _base_shift(booster, scores)
        booster.start_run(scores + shift[:, np.newaxis])
        return booster, shift

    def round(self, booster: RowBooster, number: int) -> tuple[Tree, ...]:
        """Grow and add one tree a class."""
        options, layout = self.parameters, booster.layout
        drawn = np.flatnonzero(
            drawn_features(
                self._names, fraction=options.feature_fraction, seed=options.seed, tree=number
            )
        )
        booster.draw(drawn)
        growing = LockstepGrowth(
            layout, options, self.objective.fixed, booster.rows.training_rows, drawn,
            self._monotone, pool=self._pool,
        )  # fmt: skip
        growing.start(booster.start_trees(number))
        while build := growing.build:
            growing.advance(booster.grow(_moves(growing.unsent()), build))
        booster.finish_trees(_moves(growing.unsent()), growing.leaf_values())
        return growing.trees()

    def all_rows(self, trunk: TrunkRows, rounds: int) -> Iterator[Tree]:
        """Trees from every row: the shift of each class as a tree of one leaf, then ``rounds``."""
        count = len(trunk.groups)
        booster, shift = self.booster(trunk, np.arange(count), count)
        for value in shift.tolist():
            yield Tree((), (), (), (value,), (), (NodeSums(0, 0),))
        for number in range(rounds):
            yield from self.round(booster, number)


def _base_shift(booster: RowBooster, scores: Floats) -> Floats:
    """Constants that fit the training rows best on top of ``scores``: float64[classes].

    Newton's steps, halved until the loss falls, towards zero by BASE_PRIOR_ROWS rows.
    """
    rows, fixed = booster.rows, booster.objective.fixed
    first = slice(0, int(booster.layout.offsets[1]))
    labels, weights = rows.labels[rows.training], rows.weights_of(rows.training)
    start = np.ascontiguousarray(scores[:, rows.training])
    shift = np.zeros(len(scores))

    def loss(of: Floats, prior: Floats) -> float:
        drawn = float((prior * of * of).sum()) / 2.0
        raw = booster.objective.loss_sum(start + of[:, np.newaxis], labels, weights)
        return raw * booster.objective.loss_unit + drawn

    for _ in range(_BASE_STEPS):
        booster.start_run(scores + shift[:, np.newaxis])
        sums = booster.start_trees(0)[:, first].sum(axis=1)
        slope, bend = sums[:, 0] * fixed.gradient_unit, sums[:, 1] * fixed.hessian_unit
        prior = bend * (BASE_PRIOR_ROWS / max(rows.training_rows, 1))
        step = (slope + prior * shift) / np.maximum(bend + prior, fixed.hessian_unit)

        before = loss(shift, prior)
        while loss(shift - step, prior) > before and np.abs(step).max() > _TOO_SMALL:
            step /= 2.0
        if np.abs(step).max() <= _TOO_SMALL:
            break
        shift -= step
    return shift


def _moves(splits: list[list[NodeSplit]]) -> list[dict[int, tuple[Split, int, int]]]:
    return [
        {done.node: (done.split, done.left, done.right) for done in of_class} for of_class in splits
    ]

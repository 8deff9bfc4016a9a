"""Local trees on top of a shared trunk: grown at one site from its own rows, and kept there.

A trunk fits all brands at once; where brands differ in why people buy, each gains by a few trees
of its own. How many is measured on rows held out at home: every row is held out once (above
``ONE_FOLD_ROWS``, one fold in ``FOLDS`` is enough). The trees are kept only where they beat the
trunk there by more than noise, and are then grown again from all rows.

The rows that trained the trunk flatter it and what continues it alike. Where the run held out
validation rows, these alone decide.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

from fed_audience.gbdt.growing.local_growth import LocalGrowth
from fed_audience.gbdt.growing.sampling import keyed
from fed_audience.gbdt.kernels.team import ALONE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from fed_audience.gbdt.bins import Feature, FeatureBins
    from fed_audience.gbdt.growing.booster import RowBooster
    from fed_audience.gbdt.growing.local_growth import TrunkRows
    from fed_audience.gbdt.kernels.team import Team
    from fed_audience.gbdt.models.model import Model
    from fed_audience.gbdt.objectives import Objective
    from fed_audience.gbdt.parameters import TrainingParameters
    from fed_audience.gbdt.tree import Tree

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

FOLDS: Final = 5
ONE_FOLD_ROWS: Final = 20_000
LEAST_ROWS: Final = 50
"""Fewer rows cannot tell a gain from noise, so the trunk stays and nothing is measured."""

NOISE: Final = 2.0
"""Standard errors that the gain on held-out rows must exceed."""

_PARTS: Final = 40
"""The held-out rows are cut into so many parts; the gains in them give the standard error."""


@dataclass(frozen=True, slots=True)
class Continuation:
    """What a site's own rows add to the trunk; nothing of it leaves.

    ``trees`` continue the trunk's, class after class: first one leaf each, the brand's own shift
    of the base score, then ``rounds`` rounds of trees. Empty where the trunk stays as it is.
    ``losses[r]``: mean loss of the held-out rows with r rounds; ``trunk_loss`` without any of it.
    ``gain``: how much of it is saved on the rows that decide, with its ``standard_error``.
    """

    trees: tuple[Tree, ...]
    rounds: int
    losses: tuple[float, ...]
    trunk_loss: float
    gain: float
    standard_error: float

    @property
    def chosen(self) -> bool:
        """Whether the site's own copy differs from the trunk."""
        return bool(self.trees)

    def on(self, trunk: Model) -> Model:
        """Return the site's own copy of ``trunk``."""
        return replace(trunk, trees=trunk.trees + self.trees)


def continuation_parameters(run: TrainingParameters) -> TrainingParameters:
    """Options of local trees: those of the run, but many small and careful steps.

    Best-first, for no message is saved by growing level by level. The early stopping counts
    rounds without a better loss on held-out rows.
    """
    return replace(
        run,
        n_estimators=300,
        learning_rate=0.03,
        num_leaves=min(15, run.num_leaves),
        leaves_per_round=1,
        feature_fraction=0.5 * run.feature_fraction,
        bagging_fraction=1.0,
        lambda_l2=run.lambda_l2 + 5.0,
        early_stopping_round=50,
    )


def continue_locally(
    trunk: TrunkRows,
    features: Sequence[Feature],
    bins: Sequence[FeatureBins],
    objective: Objective,
    parameters: TrainingParameters,
    *,
    team: Team = ALONE,
    on_round: Callable[[int, int], None] | None = None,
) -> Continuation:
    """Grow trees of the site's own on top of the trunk, or leave the trunk where it is as good.

    ``parameters``: those of the local trees, see ``continuation_parameters``; monotone
    constraints hold for the whole then, as they do for the trunk. ``on_round`` is told the rounds
    measured so far, and their limit.
    """
    if len(trunk.groups) < LEAST_ROWS:
        return Continuation((), 0, (), 0.0, 0.0, 0.0)
    grow = LocalGrowth(features, bins, objective, parameters, team)
    folds = _folds(trunk, parameters.seed)
    before, curve = _measured(trunk, folds, grow, on_round)
    held = folds >= 0
    judged = held & trunk.unseen if (held & trunk.unseen).any() else held
    per_row = partial(_per_row, trunk, objective)
    totals = [int(losses.sum()) for losses in curve]
    best = totals.index(min(totals))
    of_judged = slice(0, 1) if judged is not held else slice(None)
    saved = (before - curve[best])[of_judged].reshape(-1, _PARTS).sum(axis=0)
    gain, noise = float(saved.sum()), float(np.sqrt(_PARTS * saved.var(ddof=1)))
    wins = gain > NOISE * noise
    return Continuation(
        trees=tuple(grow.all_rows(trunk, best)) if wins else (),
        rounds=best if wins else 0,
        losses=tuple(per_row(held, total) for total in totals),
        trunk_loss=per_row(held, int(before.sum())),
        gain=per_row(judged, gain),
        standard_error=per_row(judged, noise),
    )


def _per_row(
    trunk: TrunkRows, objective: Objective, of: NDArray[np.bool_], loss_sum: float
) -> float:
    """Mean of a loss summed over the rows ``of``, by their weights."""
    weights = None if trunk.rows.weights is None else trunk.rows.weights[of]
    weight = objective.weight_sum(weights, int(of.sum())) * objective.weight_unit
    return loss_sum * objective.loss_unit / weight


def _folds(trunk: TrunkRows, seed: int) -> NDArray[np.int64]:
    """Fold in which each row is held out, -1 for never: int64[n]."""
    folds = (keyed(trunk.groups, seed=seed, use="continuation") % np.uint64(FOLDS)).astype(np.int64)
    return folds if len(folds) <= ONE_FOLD_ROWS else np.where(folds == 0, 0, -1)


def _measured(
    trunk: TrunkRows,
    folds: NDArray[np.int64],
    grow: LocalGrowth,
    on_round: Callable[[int, int], None] | None,
) -> tuple[Integers, list[Integers]]:
    """Losses of the held-out rows under the trunk, and after each round from 0: int64[2, m].

    The first row of each sums the rows that the trunk has not seen. All folds grow side by side,
    so that their sum can end them.
    """
    trials = [_Trial.of(trunk, folds == fold, grow) for fold in np.unique(folds[folds >= 0])]
    before = np.concatenate([trial.trunk_losses for trial in trials], axis=1)
    curve = [np.concatenate([trial.losses() for trial in trials], axis=1)]
    limit, patience = grow.parameters.n_estimators, grow.parameters.early_stopping_round
    best, least = 0, int(curve[0].sum())
    for number in range(limit):
        for trial in trials:
            grow.round(trial.booster, number)
        curve.append(np.concatenate([trial.losses() for trial in trials], axis=1))
        if on_round:
            on_round(number + 1, limit)
        if (total := int(curve[-1].sum())) < least:
            best, least = number + 1, total
        if patience and number + 1 - best >= patience:
            break
    return before, curve


@dataclass(frozen=True, slots=True)
class _Trial:
    """One fold: trees from the other rows, measured on the rows held out.

    ``ends``: int64[2, parts + 1], where the parts of the held-out rows begin and end, first those
    that the trunk has not seen.
    """

    booster: RowBooster
    ends: NDArray[np.int64]
    trunk_losses: Integers

    @classmethod
    def of(cls, trunk: TrunkRows, held: NDArray[np.bool_], grow: LocalGrowth) -> _Trial:
        out = np.flatnonzero(held)
        draws = keyed(trunk.groups[out], seed=grow.parameters.seed, use="continuation part")
        cells = (draws % np.uint64(_PARTS)).astype(np.int64) + np.where(
            trunk.unseen[out], 0, _PARTS
        )
        within = np.argsort(cells, kind="stable")
        rest = np.flatnonzero(~held)
        order = np.concatenate((rest, out[within]))
        borders = len(rest) + np.searchsorted(cells[within], np.arange(2 * _PARTS + 1))
        ends = np.stack((borders[: _PARTS + 1], borders[_PARTS:]))
        booster, _ = grow.booster(trunk, order, len(rest))
        return cls(booster, ends, _losses(booster, trunk.scores[:, order], ends))

    def losses(self) -> Integers:
        """Losses of the held-out rows at present: int64[2, parts]."""
        return _losses(self.booster, self.booster.scores, self.ends)


def _losses(booster: RowBooster, scores: Floats, ends: NDArray[np.int64]) -> Integers:
    rows = booster.rows

    def loss(begin: int, end: int) -> int:
        part = slice(begin, end)
        raw = np.ascontiguousarray(scores[:, part])
        return booster.objective.loss_sum(raw, rows.labels[part], rows.weights_of(part))

    return np.array(
        [[loss(*pair) for pair in pairwise(kind)] for kind in ends.tolist()],
        dtype=np.int64,
    )

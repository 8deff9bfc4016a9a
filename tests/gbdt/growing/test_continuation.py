"""Local trees on a shared trunk: chosen where they win at home, and only there."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import lightgbm
import numpy as np
import pytest

from fed_audience.gbdt.arithmetic import sigmoids
from fed_audience.gbdt.bins import CategoryBins, Feature, NumericBins
from fed_audience.gbdt.growing.booster import BinnedRows
from fed_audience.gbdt.growing.continuation import (
    FOLDS,
    LEAST_ROWS,
    ONE_FOLD_ROWS,
    Continuation,
    _folds,
    continuation_parameters,
    continue_locally,
)
from fed_audience.gbdt.growing.local_growth import TrunkRows
from fed_audience.gbdt.kernels.codes import BinnedMatrix
from fed_audience.gbdt.models.model import Model, to_text
from fed_audience.gbdt.models.predictor import raw_scores
from fed_audience.gbdt.objectives import objective_of
from fed_audience.gbdt.parameters import TrainingParameters
from fed_audience.gbdt.tree import NodeSums, Split, Tree

FEATURES = (Feature("spend"), Feature("visits"), Feature("channel", categorical=True))
BINS = (
    NumericBins(tuple(float(t) for t in range(20))),
    NumericBins(tuple(float(t) for t in range(7))),
    CategoryBins((5, 7, 11)),
)
RUN = TrainingParameters(row_cap=100_000)
FAST = replace(continuation_parameters(RUN), n_estimators=60, learning_rate=0.1)
Codes = Any


def codes_of(rows: int, seed: int) -> Codes:
    r = np.random.default_rng(seed)
    return np.stack([r.integers(0, b.size, rows) for b in BINS], axis=1).astype(np.uint8)


def truth(codes: Codes, sign: float = 1.0) -> Any:
    """Log odds: the trunk knows spend; visits and channel act ``sign`` times as elsewhere."""
    own = np.sin(codes[:, 1].astype(float)) + 0.7 * (codes[:, 2] == 1)
    return 0.15 * (codes[:, 0].astype(float) - 10.0) + 1.5 * sign * own


def trunk_model() -> Model:
    """One split on spend."""
    tree = Tree(
        (Split(0, 1.0, bin=9),), (-1,), (-2,), (-0.7, 0.7), (NodeSums(0, 2),), (NodeSums(0, 1),) * 2
    )
    return Model(FEATURES, BINS, (tree,), (0.1,), 0.1)


def site(
    rows: int, scores: Any, *, sign: float = 1.0, training_rows: int | None = None, seed: int = 1
) -> TrunkRows:
    """Rows of a site whose trunk scores are ``scores(codes)``."""
    codes = codes_of(rows, seed)
    draws = np.random.default_rng(seed + 1).random(rows)
    labels = (draws < sigmoids(truth(codes, sign))).astype(np.float64)
    matrix = BinnedMatrix.from_columns(np.ascontiguousarray(codes.T), BINS)
    binned = BinnedRows(matrix, labels, rows if training_rows is None else training_rows)
    return TrunkRows(binned, scores(codes).reshape(1, -1), np.arange(rows, dtype=np.uint64))


def continued(rows: TrunkRows, parameters: TrainingParameters = FAST) -> Continuation:
    return continue_locally(rows, FEATURES, BINS, objective_of(RUN), parameters)


def by_trunk(codes: Codes) -> Any:
    return raw_scores(trunk_model(), codes)


@cache
def winning() -> Continuation:
    return continued(site(3_000, by_trunk))


def mean_loss(model: Model, codes: Codes, labels: Any) -> float:
    return float(np.mean(np.logaddexp(0.0, raw_scores(model, codes) * (1.0 - 2.0 * labels))))


def test_a_brand_with_reasons_of_its_own_gets_trees_that_win_on_new_rows() -> None:
    own = winning()
    assert own.chosen
    assert 0 < own.rounds <= FAST.n_estimators
    assert own.losses[own.rounds] == min(own.losses)
    assert own.gain == pytest.approx(own.trunk_loss - own.losses[own.rounds])
    assert own.gain > 2 * own.standard_error > 0
    new = codes_of(5_000, 7)
    labels = (np.random.default_rng(8).random(5_000) < sigmoids(truth(new))).astype(float)
    trunk = trunk_model()
    saved = mean_loss(trunk, new, labels) - mean_loss(own.on(trunk), new, labels)
    assert saved == pytest.approx(own.gain, rel=0.25)


def test_a_brand_that_the_trunk_serves_keeps_the_trunk() -> None:
    own = continued(site(3_000, truth))
    assert not own.chosen
    assert (own.trees, own.rounds) == ((), 0)
    assert own.on(trunk_model()) == trunk_model()
    assert own.gain <= 2 * own.standard_error


def test_a_brand_of_another_rate_gets_a_base_score_of_its_own() -> None:
    own = continued(site(3_000, lambda codes: truth(codes) + 2.0), replace(FAST, n_estimators=1))
    assert own.chosen
    (shift,) = own.trees[0].leaf_values
    assert not own.trees[0].splits
    assert -2.0 < shift < -1.6, "towards zero by the prior"


def test_rows_in_another_order_give_the_same_trees() -> None:
    rows = site(2_000, by_trunk)
    order = np.random.default_rng(5).permutation(2_000)
    shuffled = TrunkRows(rows.ordered(order, 2_000), rows.scores[:, order], rows.groups[order])
    assert continued(shuffled) == continued(rows)


def test_weights_count_as_repeated_rows_do() -> None:
    rows = site(1_500, by_trunk)
    light = replace(rows, rows=replace(rows.rows, weights=np.full(1_500, 0.5)))
    heavy = continue_locally(light, FEATURES, BINS, objective_of(RUN), FAST)
    assert heavy.losses[0] == pytest.approx(continued(rows).losses[0], abs=0.02)
    skewed = np.where(rows.rows.labels > 0, 1.0, 0.01)
    only = replace(rows, rows=replace(rows.rows, weights=skewed))
    (shift,) = continued(only).trees[0].leaf_values
    assert shift > 1.0, "rows without a positive hardly count"


def test_rows_that_the_trunk_has_not_seen_decide_alone() -> None:
    def misled(codes: Codes) -> Any:
        known = np.arange(len(codes)) < 2_500
        return np.where(known, by_trunk(codes), truth(codes))

    assert continued(site(3_000, misled)).chosen
    own = continued(site(3_000, misled, training_rows=2_500))
    assert not own.chosen
    assert own.gain < own.trunk_loss - min(own.losses), "which the other rows would have gained"


def test_too_few_rows_to_tell_keep_the_trunk() -> None:
    assert not continued(site(LEAST_ROWS - 1, lambda codes: -3.0 * truth(codes))).chosen
    assert continued(site(LEAST_ROWS + 200, lambda codes: -3.0 * truth(codes))).chosen


def test_a_site_without_rows_or_positives_does_not_stumble() -> None:
    assert not continued(site(0, by_trunk)).chosen
    rows = site(600, by_trunk)
    none = replace(rows, rows=replace(rows.rows, labels=np.zeros(600)))
    own = continued(none)
    assert np.isfinite(raw_scores(own.on(trunk_model()), codes_of(50, 3))).all()


def test_rows_of_one_group_cannot_be_held_out_from_each_other() -> None:
    rows = replace(site(600, by_trunk), groups=np.zeros(600, dtype=np.uint64))
    own = continued(rows)
    assert own.losses[0] == own.trunk_loss, "no row is left to learn from"
    assert not own.chosen


def test_every_row_of_a_small_site_is_held_out_once_and_groups_stay_together() -> None:
    rows = site(900, by_trunk)
    people = replace(rows, groups=rows.groups // np.uint64(3))
    folds = _folds(people, seed=0)
    assert set(folds.tolist()) == set(range(FOLDS))
    assert (folds.reshape(-1, 3) == folds[::3, np.newaxis]).all()
    many = site(ONE_FOLD_ROWS + 1, by_trunk)
    assert set(_folds(many, seed=0).tolist()) == {-1, 0}


@pytest.mark.parametrize("sign", [1, -1])
def test_monotone_constraints_of_the_run_hold_in_the_whole(sign: int) -> None:
    run = replace(RUN, monotone_constraints=(("visits", sign),))
    parameters = replace(continuation_parameters(run), n_estimators=30, learning_rate=0.2)
    rows = site(3_000, by_trunk)
    own = continue_locally(rows, FEATURES, BINS, objective_of(run), parameters)
    assert own.rounds > 0
    free = winning().on(trunk_model())
    sweep = np.repeat(codes_of(300, 9), BINS[1].size, axis=0)
    sweep[:, 1] = np.tile(np.arange(BINS[1].size, dtype=np.uint8), 300)

    def rises(model: Model) -> Any:
        return np.diff(raw_scores(model, sweep).reshape(300, -1), axis=1)

    assert (sign * rises(own.on(trunk_model())) >= 0.0).all()
    assert (sign * rises(free) < 0.0).any()


def test_lightgbm_reads_the_copy_bit_for_bit_and_continues_the_trunk() -> None:
    copy = winning().on(trunk_model())
    codes = codes_of(400, 11)
    values = codes.astype(np.float64)
    # A code is the number of thresholds below the value: thresholds are whole numbers here.
    booster = lightgbm.Booster(model_str=to_text(copy))
    assert np.array_equal(booster.predict(values, raw_score=True), raw_scores(copy, codes))
    labels = (truth(codes) > 0).astype(float)
    trunk = lightgbm.Booster(model_str=to_text(trunk_model()))
    more = lightgbm.train(
        {"objective": "binary", "verbose": -1, "num_threads": 1, "num_leaves": 4},
        lightgbm.Dataset(values, labels, free_raw_data=False),
        3,
        init_model=trunk,
    )
    assert more.num_trees() == 4
    assert not np.array_equal(more.predict(values), trunk.predict(values))


def test_local_trees_are_small_steps_with_the_options_of_the_run() -> None:
    run = replace(RUN, lambda_l1=0.5, monotone_constraints=(("spend", 1),), bagging_fraction=0.5)
    options = continuation_parameters(run)
    assert options.lambda_l1 == 0.5
    assert options.monotone_constraints == run.monotone_constraints
    assert options.learning_rate < run.learning_rate
    assert options.num_leaves < run.num_leaves
    assert options.bagging_fraction == 1.0
    assert max(tree.leaves for tree in winning().trees) <= FAST.num_leaves


def test_progress_is_told_until_the_loss_stops_falling() -> None:
    told: list[tuple[int, int]] = []
    parameters = replace(FAST, early_stopping_round=5)
    rows = site(1_000, truth)
    own = continue_locally(
        rows,
        FEATURES,
        BINS,
        objective_of(RUN),
        parameters,
        on_round=lambda done, limit: told.append((done, limit)),
    )
    assert told == [(done, 60) for done in range(1, len(own.losses))]
    assert len(told) < 60
    assert own.losses.index(min(own.losses)) == len(told) - 5

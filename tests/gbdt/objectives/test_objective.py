"""What holds of every objective: integers that sum in any order, and the formulas behind."""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from math import exp
from typing import Any

import lightgbm as lgb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fed_audience.errors import ConfigError, DataError
from fed_audience.gbdt.kernels.team import team_of
from fed_audience.gbdt.objectives import Objective, objective_of
from fed_audience.gbdt.parameters import TrainingParameters

Floats = NDArray[np.float64]

CHOICES: dict[str, dict[str, Any]] = {
    "binary": {"scale_pos_weight": 2.0},
    "regression": {},
    "poisson": {},
    "tweedie": {"tweedie_variance_power": 1.3},
    "multiclass": {"num_class": 3},
}
NAMES = list(CHOICES)
WEIGHT_CAP, LABEL_CAP = 8.0, 256.0

pytestmark = pytest.mark.parametrize("name", NAMES)


def chosen(name: str, row_cap: int = 2**27, label_cap: float = LABEL_CAP) -> Objective:
    parameters = TrainingParameters(objective=name, row_cap=row_cap, **CHOICES[name])  # type: ignore[arg-type]
    return objective_of(parameters, label_cap=label_cap, weight_cap=WEIGHT_CAP)


@dataclass
class Rows:
    scores: Floats
    labels: Floats
    weights: Floats

    def take(self, rows: Any) -> Rows:
        return Rows(
            np.ascontiguousarray(self.scores[:, rows]), self.labels[rows], self.weights[rows]
        )


def drawn(objective: Objective, rows: int, seed: int, spread: float = 1.0) -> Rows:
    draw = np.random.default_rng(seed)
    labels = {
        "binary": draw.integers(0, 2, rows),
        "regression": draw.normal(0, 10, rows),
        "poisson": draw.poisson(3.0, rows),
        "tweedie": draw.poisson(1.0, rows) * draw.gamma(2.0, 3.0, rows),
        "multiclass": draw.integers(0, 3, rows),
    }[objective.name].astype(float)
    scores = draw.normal(0, spread, (objective.classes, rows))
    return Rows(scores, labels, draw.uniform(0.05, 4.0, rows))


def pairs_of(
    objective: Objective, rows: Rows, *, weighted: bool = True, **options: Any
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    pairs = np.empty(rows.scores.shape, dtype=np.int64)
    weights = rows.weights if weighted else None
    objective.gradient_pairs(rows.scores, rows.labels, weights, pairs, **options)
    return pairs >> 32, pairs & (2**32 - 1)


def formula(name: str, scores: list[float], y: float) -> list[tuple[float, float]]:
    """Gradient and hessian of each class as LightGBM computes them, without clipping."""
    s = scores[0]
    match name:
        case "binary":
            p, w = 1 / (1 + exp(-s)), 2.0 if y else 1.0
            return [(w * (p - y), w * p * (1 - p))]
        case "regression":
            return [(s - y, 1.0)]
        case "poisson":
            return [(exp(s) - y, exp(s + 0.7))]
        case "tweedie":
            a, b = y * exp(-0.3 * s), exp(0.7 * s)
            return [(b - a, 0.3 * a + 0.7 * b)]
    shares = [exp(score) / sum(map(exp, scores)) for score in scores]
    return [(p - (y == k), 1.5 * p * (1 - p)) for k, p in enumerate(shares)]


@given(seed=st.integers(0, 999))
def test_integers_are_the_formula_within_half_a_unit(name: str, seed: int) -> None:
    objective = chosen(name)
    rows, fixed = drawn(objective, 20, seed), objective.fixed
    gradients, hessians = pairs_of(objective, rows)
    for i, (y, w) in enumerate(zip(rows.labels, rows.weights, strict=True)):
        expected = formula(name, rows.scores[:, i].tolist(), float(y))
        for k, (gradient, hessian) in enumerate(expected):
            g, h = w * gradient / fixed.gradient_unit, w * hessian / fixed.hessian_unit
            assert abs(gradients[k, i] - g) <= 0.5 + 1e-6
            assert abs(hessians[k, i] - max(h, 1)) <= 0.5 + 1e-6


@given(seed=st.integers(0, 999))
def test_the_gradient_is_the_slope_of_the_loss(name: str, seed: int) -> None:
    objective = chosen(name, row_cap=1)
    rows = drawn(objective, 1, seed)
    gradients, _ = pairs_of(objective, rows)
    step = 0.01
    for k in range(objective.classes):
        there, here = (
            objective.loss_sum(
                rows.scores + sign * step * np.eye(objective.classes)[:, [k]],
                rows.labels,
                rows.weights,
            )
            for sign in (1, -1)
        )
        slope = (there - here) * objective.loss_unit / (2 * step)
        of_deviance = 1.0 if objective.bounded else 2.0
        gradient = of_deviance * gradients[k, 0] * objective.fixed.gradient_unit
        assert gradient == pytest.approx(slope, rel=1e-3, abs=4e-3)


@given(seed=st.integers(0, 999), rows=st.integers(20, 200))
def test_no_constant_has_less_loss_than_the_base_scores(name: str, seed: int, rows: int) -> None:
    plain = TrainingParameters(objective=name, num_class=3 if name == "multiclass" else 1)  # type: ignore[arg-type]
    objective = objective_of(plain, label_cap=LABEL_CAP, weight_cap=WEIGHT_CAP)
    all_rows = drawn(objective, rows, seed)
    base = objective.base_scores(objective.label_sums(all_rows.labels, all_rows.weights))

    def loss(shift: Floats) -> float:
        scores = np.tile((np.array(base) + shift)[:, None], (1, rows))
        total = objective.loss_sum(scores, all_rows.labels, all_rows.weights)
        return total * objective.loss_unit

    best = loss(np.zeros(objective.classes))
    for k in range(objective.classes):
        for shift in (-0.05, 0.05):
            assert loss(shift * np.eye(objective.classes)[k]) >= best


@pytest.mark.parametrize("weighted", [False, True])
def test_base_scores_are_lightgbms(name: str, *, weighted: bool) -> None:
    objective = chosen(name)
    rows = drawn(objective, 500, 7)
    weights = rows.weights if weighted else None
    base = objective.base_scores(objective.label_sums(rows.labels, weights))
    booster = lgb.train(
        {"objective": name, "verbosity": -1, "min_data_in_leaf": 10_000, **CHOICES[name]},
        lgb.Dataset(np.arange(500.0)[:, None], rows.labels, weight=weights),
        num_boost_round=1,
    )
    theirs = np.atleast_1d(np.squeeze(booster.predict(np.zeros((1, 1)), raw_score=True)))
    assert base == pytest.approx(theirs.tolist(), rel=1e-5, abs=1e-6)


KNOWN = {
    "binary": "c57cd761f2c93447",
    "regression": "555c2f03bc4f6e44",
    "poisson": "85801c4213920b30",
    "tweedie": "a3bb3302f7e6d6a0",
    "multiclass": "9921ddba25aea38c",
}


def test_integers_are_the_same_on_every_machine(name: str) -> None:
    """A digest of all that rows become; a change of it changes every model that was trained."""
    objective = chosen(name)
    place = np.arange(997)
    scores = np.stack([(place * (37 + k) % 997 - 498) / 64.0 for k in range(objective.classes)])
    count = place * 31 % 17
    labels = {
        "binary": count % 2,
        "regression": (count - 8.0) * 1.37,
        "poisson": count,
        "tweedie": np.where(count > 8, count * 1.37, 0.0),
        "multiclass": count % 3,
    }[name].astype(float)
    rows = Rows(scores, labels, (1 + place % 7) / 2.0)
    gradients, hessians = pairs_of(objective, rows)
    sums = objective.label_sums(labels, rows.weights)
    base = objective.base_scores(sums)
    parts = [
        gradients.tolist(),
        hessians.tolist(),
        sums.tolist(),
        [value.hex() for value in (*base, *objective.shrunk_base_scores(sums, base))],
        objective.loss_sum(scores, labels, rows.weights),
        objective.clipped(scores, labels),
        objective.evaluation(scores, labels).tolist(),
    ]
    assert sha256(json.dumps(parts).encode()).hexdigest()[:16] == KNOWN[name]


@given(seed=st.integers(0, 999), cut=st.integers(0, 60))
def test_sums_do_not_depend_on_partition_or_order(name: str, seed: int, cut: int) -> None:
    objective = chosen(name)
    rows = drawn(objective, 60, seed)
    order = np.random.default_rng(seed).permutation(60)

    def sums(part: Rows) -> NDArray[np.int64]:
        total = [
            objective.loss_sum(part.scores, part.labels, part.weights),
            objective.weight_sum(part.weights, len(part.labels)),
            0 if objective.bounded else objective.clipped(part.scores, part.labels),
        ]
        labels = objective.label_sums(part.labels, part.weights)
        assert labels.shape == (objective.sums_size,)
        evaluation = objective.evaluation(part.scores, part.labels)
        assert evaluation.shape == (objective.evaluation_size,)
        return np.concatenate((total, labels, evaluation))

    parts = [sums(rows.take(part)) for part in np.split(order, [cut])]
    assert np.array_equal(parts[0] + parts[1], sums(rows))
    gradients, hessians = pairs_of(objective, rows)
    permuted = pairs_of(objective, rows.take(order))
    assert np.array_equal(permuted[0], gradients[:, order])
    assert np.array_equal(permuted[1], hessians[:, order])


@pytest.mark.parametrize("weighted", [False, True])
def test_threads_change_nothing(name: str, *, weighted: bool) -> None:
    objective = chosen(name)
    rows = drawn(objective, 1_001, 1)
    alone = pairs_of(objective, rows, weighted=weighted)
    shared = pairs_of(objective, rows, weighted=weighted, team=team_of(3))
    assert np.array_equal(alone, shared)


EXTREME_SCORES = st.floats(-700, 700) | st.sampled_from([-700.0, 700.0, 0.0])


@given(
    scores=st.tuples(EXTREME_SCORES, EXTREME_SCORES, EXTREME_SCORES),
    label=st.integers(0, 1) | st.floats(0, 1e9),
    weight=st.floats(1e-9, WEIGHT_CAP / 2) | st.just(WEIGHT_CAP / 2),
    bits=st.integers(0, 34),
    cap_bits=st.integers(-20, 40),
)
def test_no_row_leaves_the_bounds(
    name: str,
    scores: tuple[float, float, float],
    label: float,
    weight: float,
    bits: int,
    cap_bits: int,
) -> None:
    objective = chosen(name, row_cap=2**bits, label_cap=2.0**cap_bits)
    y = float(min(label, 1) >= 1) if objective.bounded else label
    raw = np.array(scores[: objective.classes])[:, None]
    row = Rows(raw, np.array([y]), np.array([weight]))
    gradients, hessians = pairs_of(objective, row)
    fixed = objective.fixed
    assert np.abs(gradients).max() <= fixed.gradient_bound
    assert 1 <= hessians.min() <= hessians.max() <= fixed.hessian_bound
    assert 0 <= objective.loss_sum(raw, row.labels, row.weights) * 2**bits < 2**63
    assert (np.abs(objective.label_sums(row.labels, row.weights)) * 2**bits < 2**63).all()
    assert 1 <= objective.weight_sum(row.weights, 1) * 2**bits < 2**63
    evaluation = objective.evaluation(raw, row.labels)
    assert int(np.abs(evaluation).max()) * 2**bits < 2**63


@given(row_cap=st.integers(1, 2**34), cap_bits=st.integers(-64, 64))
def test_the_largest_rows_sum_exactly_at_the_row_cap(
    name: str, row_cap: int, cap_bits: int
) -> None:
    fixed = chosen(name, row_cap, 2.0**cap_bits).fixed
    assert fixed.gradient_bound >= 2**12
    for bound in (fixed.gradient_bound, fixed.hessian_bound):
        assert 2**10 <= bound <= 2**30
        assert row_cap * bound <= 2**53
    for unit in (fixed.gradient_unit, fixed.hessian_unit):
        assert np.frexp(unit)[0] == 0.5


def test_a_row_above_the_weight_cap_is_refused_not_wrapped(name: str) -> None:
    objective = chosen(name)
    rows = drawn(objective, 3, 0)
    for bad in (1.01 * WEIGHT_CAP, np.inf, np.nan):
        rows.weights[1] = bad
        assert objective.weight_problem(rows.weights) is not None
        with pytest.raises(DataError, match="weighs more"):
            pairs_of(objective, rows)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_labels_that_are_not_numbers_are_refused(name: str, bad: float) -> None:
    objective = chosen(name)
    assert objective.label_problem(drawn(objective, 50, 0).labels) is None
    assert objective.label_problem(np.array([1.0, bad])) is not None


def test_no_rows_cannot_be_learnt(name: str) -> None:
    objective = chosen(name)
    with pytest.raises(DataError):
        objective.base_scores(np.zeros(objective.sums_size, dtype=np.int64))


@given(seed=st.integers(0, 99), scale=st.floats(0.05, 2.0))
def test_a_brands_own_base_lies_between_its_rows_and_the_federations(
    name: str, seed: int, scale: float
) -> None:
    objective = chosen(name)
    rows = drawn(objective, 300, seed)
    base = objective.base_scores(objective.label_sums(rows.labels, rows.weights))
    brand = rows.take(np.flatnonzero(rows.labels <= np.quantile(rows.labels, 0.8)))
    brand.weights *= scale
    own = objective.label_sums(brand.labels, brand.weights)
    alone = objective.base_scores(own) if name != "multiclass" else None
    shrunk = objective.shrunk_base_scores(own, base)
    assert len(shrunk) == len(base)
    if alone is not None and alone != base:
        share = (shrunk[0] - base[0]) / (alone[0] - base[0])
        assert 0.0 < share < 1.0
    nothing = objective.label_sums(np.empty(0), np.empty(0))
    assert objective.shrunk_base_scores(nothing, base) == base


@pytest.mark.parametrize("cap", [0.0, -1.0, 3.0, np.nan, np.inf, 2.0**65])
def test_caps_are_powers_of_two(name: str, cap: float) -> None:
    parameters = TrainingParameters(objective=name, **CHOICES[name])  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="label_cap is not a power of two"):
        objective_of(parameters, label_cap=cap)
    with pytest.raises(ConfigError, match="weight_cap is not a power of two"):
        objective_of(parameters, weight_cap=cap)

"""Where theory leaves no choice, our trees are LightGBM's: same splits, same leaves.

The rows below remove every reason for a difference that tests/compare/test_lightgbm.py names: few
distinct integers, so that both have the same cuts; as many leaves as the depth allows and every
split gaining, so that growing by level and growing by best leaf end alike; no floor on rows; gains
far enough apart that rounding to fixed point changes no order. Ordered sets of categories remain
apart: LightGBM's floors there count rows, ours their share of the hessian.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import lightgbm as lgb
import numpy as np
import pyarrow as pa
import pytest

from fed_audience.gbdt.bins import CategoryBins, Feature, NumericBins
from tests.federation.example import KEY, run

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fed_audience.federation import TrainingResult
    from fed_audience.gbdt.tree import Split

ROWS, TREES, DEPTH = 20_000, 6, 3
FEATURES = (
    Feature("recency"),
    Feature("orders"),
    Feature("gap"),
    Feature("channel", categorical=True),
)


@dataclass(frozen=True)
class Case:
    """One objective: its label, our options, LightGBM's, and how close leaves must be."""

    label: str
    ours: dict[str, Any]
    theirs: dict[str, Any]
    tolerance: float


CASES = {
    "binary": Case("bought", {}, {"objective": "binary"}, 2e-4),
    "weighted": Case(
        "bought",
        {"weight": "weight", "max_weight": 2.0, "scale_pos_weight": 2.0},
        {"objective": "binary", "scale_pos_weight": 2.0},
        5e-4,
    ),
    "regression": Case(
        "amount",
        {"task": "demand", "objective": "regression"},
        {"objective": "regression"},
        2e-3,
    ),
    "poisson": Case(
        "count", {"task": "demand", "objective": "poisson"}, {"objective": "poisson"}, 2e-4
    ),
    "tweedie": Case(
        "count",
        {"task": "demand", "objective": "tweedie", "tweedie_variance_power": 1.4},
        {"objective": "tweedie", "tweedie_variance_power": 1.4},
        2e-4,
    ),
    "multiclass": Case(
        "kind",
        {"task": "multiclass", "objective": "multiclass", "num_class": 3},
        {"objective": "multiclass", "num_class": 3},
        5e-4,
    ),
    "regularised": Case(
        "bought",
        {"lambda_l1": 20.0, "lambda_l2": 30.0, "max_delta_step": 0.6},
        {"objective": "binary", "lambda_l1": 20.0, "lambda_l2": 30.0, "max_delta_step": 0.6},
        2e-4,
    ),
    "monotone": Case(
        "bought",
        {"monotone_constraints": (("recency", 1), ("gap", 1))},
        {"objective": "binary", "monotone_constraints": [1, 0, 1, 0]},
        2e-4,
    ),
}


def rows() -> pa.Table:
    r = np.random.default_rng(11)
    recency, orders = r.integers(0, 24, ROWS), r.integers(0, 7, ROWS)
    gap, gone = r.integers(-5, 6, ROWS), r.random(ROWS) < 0.25
    channel = r.integers(0, 3, ROWS)
    z = 0.9 * np.sin(recency / 3.7) - 0.33 * orders + np.where(gone, 1.1, 0.21 * gap)
    z = z + np.array([0.0, 0.83, -0.57])[channel] * (1 + 0.1 * orders)
    utilities = np.column_stack([z, 0.7 * np.cos(recency / 2.3), 0.4 * orders - 1.2])
    columns: dict[str, Any] = {
        "key": np.arange(ROWS),
        "recency": recency,
        "orders": orders,
        "gap": pa.array(gap, mask=gone),
        "channel": np.array(["app", "shop", "web"])[channel],
        "weight": np.where(r.random(ROWS) < 0.5, 0.5, 2.0),
        "bought": (z + r.logistic(size=ROWS) > 0).astype(int),
        "count": r.poisson(np.exp(0.5 * z + 0.4)),
        "amount": np.round(4 * z + r.normal(size=ROWS), 3),
        "kind": (utilities + r.gumbel(size=(ROWS, 3))).argmax(axis=1),
    }
    return pa.table(columns)


TABLE = rows()
CHANNELS = {"app": 0, "shop": 1, "web": 2}


def ours(case: Case) -> TrainingResult:
    return run(
        {"all": TABLE},
        features=FEATURES,
        label=case.label,
        row_key="key",
        n_estimators=TREES,
        max_depth=DEPTH,
        num_leaves=2**DEPTH,
        min_data_in_leaf=0,
        min_child_weight=0.001,
        **case.ours,
    )


def values() -> NDArray[np.float64]:
    channel = [CHANNELS[str(name)] for name in TABLE["channel"].to_pylist()]
    numbers = [TABLE[f.name].to_numpy().astype(float) for f in FEATURES[:3]]
    return np.column_stack([*numbers, np.array(channel, dtype=float)])


def theirs(case: Case) -> lgb.Booster:
    options = {
        "max_depth": DEPTH,
        "num_leaves": 2**DEPTH,
        "learning_rate": 0.1,
        "min_data_in_leaf": 0,
        "min_sum_hessian_in_leaf": 0.001,
        "max_cat_to_onehot": 4,
        "num_threads": 1,
        "verbosity": -1,
    }
    data = lgb.Dataset(
        values(),
        TABLE[case.label].to_numpy().astype(float),
        weight=TABLE["weight"].to_numpy() if "weight" in case.ours else None,
        categorical_feature=[3],
        params={"verbosity": -1},
    )
    return lgb.train(options | case.theirs, data, num_boost_round=TREES)


def rule(split: Split, result: TrainingResult) -> tuple[str, Any]:
    """Say a split of ours as its feature and the known values that go left."""
    bins = result.encoder.bins[split.feature]
    name = FEATURES[split.feature].name
    if isinstance(bins, CategoryBins):
        codes = result.encoder.encode({n: TABLE[n] for n in TABLE.column_names}, KEY)[:, 3]
        left = np.isin(codes, split.left_codes)
        return name, frozenset(values()[left, 3].tolist())
    assert isinstance(bins, NumericBins)
    cut = np.inf if split.bin == bins.size - 1 else bins.thresholds[split.bin]
    return name, frozenset(v for v in np.unique(values()[:, split.feature]) if v <= cut)


def their_rule(node: dict[str, Any]) -> tuple[str, Any]:
    feature = node["split_feature"]
    if node["decision_type"] == "==":
        left = {float(code) for code in node["threshold"].split("||")}
    else:
        left = {v for v in np.unique(values()[:, feature]) if v <= float(node["threshold"])}
    return FEATURES[feature].name, frozenset(left)


def same_tree(
    result: TrainingResult, tree: int, node: int, other: dict[str, Any], tolerance: float
) -> None:
    """Walk both trees together; a numeric split may send missing values to either side only where
    the node holds none."""
    mine = result.model.trees[tree]
    if node < 0:
        base = result.model.base_scores[tree % result.model.classes]
        value = mine.leaf_values[-node - 1] + (base if tree < result.model.classes else 0.0)
        assert other.keys() >= {"leaf_value"}
        assert other["leaf_value"] == pytest.approx(value, abs=tolerance)
        return
    assert rule(mine.splits[node], result) == their_rule(other)
    same_tree(result, tree, mine.left[node], other["left_child"], tolerance)
    same_tree(result, tree, mine.right[node], other["right_child"], tolerance)


@pytest.mark.parametrize("name", CASES)
def test_trees_are_lightgbms(name: str) -> None:
    case = CASES[name]
    result, reference = ours(case), theirs(case).dump_model()["tree_info"]
    assert len(result.model.trees) == len(reference) == TREES * result.model.classes
    for tree, other in enumerate(reference):
        same_tree(result, tree, 0, other["tree_structure"], case.tolerance)

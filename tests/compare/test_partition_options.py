"""Not by one byte: for every objective, and for every way of drawing, weighing and growing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from fed_audience.gbdt.bins.encoding import Encoder
from fed_audience.gbdt.models.predictor import raw_scores
from tests.federation.example import KEY, run, split, table, with_targets

ROWS = with_targets(table(2_400, seed=3))
STOPPING: dict[str, Any] = {"n_estimators": 25, "early_stopping_round": 3, "learning_rate": 0.4}
DEMAND: dict[str, Any] = {"task": "demand", "label": "orders"}
CASES: dict[str, dict[str, Any]] = {
    "regression": {"task": "demand", "objective": "regression", "label": "margin"},
    "poisson": DEMAND | {"objective": "poisson"},
    "tweedie": DEMAND | {"objective": "tweedie", "tweedie_variance_power": 1.3},
    "multiclass": {
        "task": "multiclass",
        "objective": "multiclass",
        "num_class": 3,
        "label": "next_channel",
    },
    "named classes": {
        "task": "multiclass",
        "objective": "multiclass",
        "num_class": 3,
        "label": "next_name",
        "classes": ("web", "app", "shop"),
    },
    "weights": {"weight": "weight", "max_weight": 1.75},
    "positives weigh more": {"scale_pos_weight": 3.0},
    "bagging": {"bagging_fraction": 0.6},
    "drawn features": {"feature_fraction": 0.6},
    "best first": {"leaves_per_round": 2, "num_leaves": 12, "max_depth": 8},
    "regularised": {"lambda_l1": 0.5, "lambda_l2": 2.0, "max_delta_step": 0.5},
    "monotone": {"monotone_constraints": (("age", -1), ("spend", 1))},
    "everything": DEMAND
    | {
        "objective": "poisson",
        "weight": "weight",
        "max_weight": 2.0,
        "bagging_fraction": 0.7,
        "feature_fraction": 0.8,
        "leaves_per_round": 3,
        "monotone_constraints": (("visits", 1),),
        "lambda_l1": 0.1,
    },
}


def options(case: str) -> dict[str, Any]:
    return STOPPING | CASES[case]


@pytest.mark.parametrize("case", CASES)
def test_model_and_metrics_are_those_of_the_pooled_rows(case: str) -> None:
    r = np.random.default_rng(len(case))
    share = r.pareto(1.0, 7) + 1e-3
    owner = r.choice(7, ROWS.num_rows, p=share / share.sum())
    owner[:2] = 7
    shuffled = r.permutation(ROWS.num_rows)
    parts = split(ROWS.take(shuffled), owner[shuffled], [f"site-{i}" for i in range(9)])
    pooled, federated = run({"all": ROWS}, **options(case)), run(parts, **options(case))
    assert federated.model_text == pooled.model_text
    assert federated.metrics == pooled.metrics
    assert federated.validation_losses == pooled.validation_losses
    assert federated.base_scores == pooled.base_scores
    assert pooled.best_iteration > 1
    assert pooled.validation_losses[pooled.best_iteration] < pooled.validation_losses[0]


@pytest.mark.parametrize("case", [c for c in CASES if "class" not in c and c != "regression"])
def test_an_option_changes_the_model(case: str) -> None:
    """One that were silently ignored would leave the plain model."""
    plain = options(case).get("label", "label")
    chosen: dict[str, Any] = STOPPING | {"label": plain}
    if plain != "label":
        chosen |= {"task": "demand", "objective": "regression"}
    assert run({"all": ROWS}, **options(case)).sha256 != run({"all": ROWS}, **chosen).sha256


def test_brands_own_base_scores_follow_the_rows_and_not_the_site() -> None:
    """A brand's rows may stand anywhere, as long as they stand together."""
    changes = STOPPING | {"brand": "brand", "brand_base": True}
    pooled = run({"all": ROWS}, **changes)
    brand = ROWS["brand"].to_numpy(zero_copy_only=False)
    owner = np.select([brand == "north", brand == "south"], [0, 1], 2)
    assert run(split(ROWS, owner, ["a", "b", "c"]), **changes).sha256 == pooled.sha256
    two = run(split(ROWS, owner // 2, ["a", "b"]), **changes)
    assert two.sha256 == pooled.sha256
    assert two.metrics == pooled.metrics
    assert pooled.model.base_scores == (0.0,)
    assert pooled.sha256 != run({"all": ROWS}, **STOPPING).sha256


def test_brand_weights_are_row_weights() -> None:
    weights = {"north": 2.0, "south": 0.5, "west": 1.0}
    brand = ROWS["brand"].to_numpy(zero_copy_only=False)
    place = ROWS.column_names.index("weight")
    column = np.array([weights[name] for name in brand])
    given = ROWS.set_column(place, "weight", pa.array(column))
    by_row = run({"all": given}, **STOPPING, weight="weight", max_weight=2.0)
    by_brand = run({"all": ROWS}, **STOPPING, brand="brand", brand_weights=tuple(weights.items()))
    assert by_brand.sha256 == by_row.sha256


def test_doubling_every_weight_changes_nothing_but_the_floors() -> None:
    place = ROWS.column_names.index("weight")
    ones, twos = (
        ROWS.set_column(place, "weight", pa.array(np.full(ROWS.num_rows, w))) for w in (1.0, 2.0)
    )
    changes = STOPPING | {"weight": "weight", "max_weight": 2.0, "cat_l2": 0.0, "cat_smooth": 0.0}
    one = run({"all": ones}, **changes, min_child_weight=1.0)
    two = run({"all": twos}, **changes, min_child_weight=2.0)
    a, b = (
        raw_scores(result.model, Encoder.encode(result.encoder, _columns(), KEY, threads=1))
        for result in (one, two)
    )
    assert np.corrcoef(a, b)[0, 1] > 0.999


def _columns() -> dict[str, Any]:
    return {name: ROWS[name] for name in ROWS.column_names}

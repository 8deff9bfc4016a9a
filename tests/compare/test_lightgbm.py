"""Ours beside LightGBM: same rows, same parameters.

Where trees may differ, and why:
- cuts: ours come from counts on a public grid, LightGBM's from a sample of the values;
- sums: ours are fixed point, LightGBM's are doubles in row order;
- growth: ours is level by level, LightGBM's best leaf first under the same depth and leaves;
- row floors: ours estimate rows from the hessian over the tree, LightGBM's over the leaf;
- categories: ours keep 20 rows or more over all sites, LightGBM drops the rarest 1 %.
None of it favours either side by more than noise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import lightgbm as lgb
import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from fed_audience.gbdt.arithmetic import logs
from fed_audience.gbdt.bins.encoding import Encoder
from fed_audience.gbdt.models.predictor import raw_scores
from tests.federation.example import FEATURES, KEY, run, table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fed_audience.federation import TrainingResult

PARAMETERS: dict[str, Any] = {
    "n_estimators": 60,
    "learning_rate": 0.1,
    "max_depth": 5,
    "num_leaves": 31,
    "min_child_weight": 1.0,
    "min_data_in_leaf": 20,
}
TRAIN, TEST = table(20_000, seed=2), table(20_000, seed=3)


def arrays(rows: pa.Table) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Values as LightGBM takes them, categories numbered."""
    columns = []
    for name in ("spend", "visits", "age", "country", "channel"):
        column = rows[name].combine_chunks()
        if name in {"country", "channel"}:
            numbers = {
                text: i
                for i, text in enumerate(
                    sorted({str(t) for t in TRAIN[name].to_pylist() if t is not None})
                )
            }
            values = [numbers.get(str(text), np.nan) for text in column.to_pylist()]
            columns.append(np.array(values, dtype=float))
        else:
            columns.append(column.to_numpy(zero_copy_only=False).astype(float))
    return np.column_stack(columns), rows["label"].to_numpy().astype(float)


@pytest.fixture(scope="module")
def ours() -> TrainingResult:
    return run({"all": TRAIN}, **PARAMETERS)


@pytest.fixture(scope="module")
def theirs() -> lgb.Booster:
    x, y = arrays(TRAIN)
    options = {
        "objective": "binary",
        "learning_rate": 0.1,
        "max_depth": 5,
        "num_leaves": 31,
        "min_sum_hessian_in_leaf": 1.0,
        "min_data_in_leaf": 20,
        "num_threads": 1,
        "verbosity": -1,
        "deterministic": True,
        "seed": 1,
    }
    data = lgb.Dataset(x, y, categorical_feature=[3, 4], params={"verbosity": -1})
    return lgb.train(options, data, num_boost_round=60)


def our_scores(result: TrainingResult) -> NDArray[np.float64]:
    booster = lgb.Booster(model_str=result.model_text)
    columns = {name: TEST[name] for name in TEST.column_names}
    return np.asarray(booster.predict(result.encoder.to_lightgbm(columns, KEY)))


def test_quality_is_lightgbms(ours: TrainingResult, theirs: lgb.Booster) -> None:
    x, y = arrays(TEST)
    mine, reference = our_scores(ours), np.asarray(theirs.predict(x))
    assert roc_auc_score(y, mine) == pytest.approx(roc_auc_score(y, reference), abs=0.003)
    assert log_loss(y, mine) == pytest.approx(log_loss(y, reference), abs=0.003)


def test_scores_are_calibrated_at_rare_positives() -> None:
    """At 0.3 % positives a coarse gradient would push the mean prediction off the rate."""
    rare = table(40_000, seed=5, positives=0.003)
    result = run({"all": rare}, **PARAMETERS | {"n_estimators": 30})
    columns = {name: rare[name] for name in rare.column_names}
    codes = result.encoder.encode(columns, KEY, threads=1)
    probability = 1 / (1 + np.exp(-raw_scores(result.model, codes)))
    assert probability.mean() == pytest.approx(0.003, rel=0.02)


def test_booster_and_site_give_the_same_raw_scores(ours: TrainingResult) -> None:
    """Bit for bit: the text LightGBM loads is the model that the sites evaluated."""
    booster = lgb.Booster(model_str=ours.model_text)
    columns = {name: TEST[name] for name in TEST.column_names}
    encoder = Encoder.from_json(ours.encoder.to_json())
    raw = booster.predict(encoder.to_lightgbm(columns, KEY), raw_score=True)
    assert np.array_equal(raw, raw_scores(ours.model, encoder.encode(columns, KEY, threads=1)))


def test_one_leaf_split_is_lightgbms() -> None:
    """With one split on one two-valued feature theory leaves no choice: same cut, same leaves."""
    r = np.random.default_rng(0)
    whole = table(4_000, seed=6)
    x = whole["visits"].to_numpy() > 0
    y = r.random(4_000) < np.where(x, 0.6, 0.2)
    rows = whole.set_column(whole.column_names.index("visits"), "visits", pa.array(x.astype(float)))
    rows = rows.set_column(rows.column_names.index("label"), "label", pa.array(y.astype(int)))
    changes: dict[str, Any] = {"max_depth": 1, "num_leaves": 2, "row_cap": 2**27}
    result = run({"all": rows}, features=FEATURES[1:2], n_estimators=1, **changes)
    data = lgb.Dataset(x[:, None].astype(float), y.astype(float), params={"verbosity": -1})
    options = {"objective": "binary", "num_leaves": 2, "verbosity": -1, "num_threads": 1}
    reference = lgb.train(options, data, num_boost_round=1)
    mine = [result.model.base_scores[0] + value for value in result.model.trees[0].leaf_values]
    expected = np.asarray(reference.predict(np.array([[0.0], [1.0]]), raw_score=True))
    assert np.allclose(mine, expected, rtol=0, atol=1e-5)
    assert result.model.base_scores[0] == pytest.approx(float(logs([y.mean() / (1 - y.mean())])[0]))

"""A compiled text gives LightGBM's scores to the last bit, or is left to LightGBM."""

from __future__ import annotations

import math
from typing import Any

import lightgbm
import numpy as np
import pyarrow as pa
import pytest

from fed_audience.errors import DataError, ModelFormatError
from fed_audience.gbdt.bins import CategoryBins, Feature, NumericBins
from fed_audience.gbdt.bins.categories import category_hashes
from fed_audience.gbdt.bins.encoding import Encoder
from fed_audience.gbdt.models.reader import load_booster
from fed_audience.gbdt.models.text_predictor import _Compiled, _LightGbm, column_predictor

KEY = b"the sites' category key"
SPLIT_ON_MISSING = """tree
version=v4
num_class=1
num_tree_per_iteration=1
label_index=0
max_feature_idx=0
objective=binary sigmoid:1
feature_names=spent
feature_infos=none
tree_sizes=SIZE

Tree=0
num_leaves=2
num_cat=0
split_feature=0
split_gain=1
threshold=CUT
decision_type=DECISION
left_child=-1
right_child=-2
leaf_value=0.25 -0.5
leaf_weight=0 0
leaf_count=0 0
internal_value=0
internal_weight=0
internal_count=0
is_linear=0
shrinkage=1


end of trees
"""
ROWS = 3_000
CITIES = [f"city {number}" for number in range(40)]


def with_tree_size(text: str) -> str:
    tree = text[text.index("Tree=0") : text.index("end of trees")]
    return text.replace("SIZE", str(len(tree)))


@pytest.fixture(scope="module")
def columns() -> dict[str, Any]:
    random = np.random.default_rng(3)
    spent = random.lognormal(3, 2, ROWS) * random.choice([-1, 1], ROWS)
    spent[::7] = np.nan
    spent[1::50] = np.inf
    visits = random.poisson(2, ROWS).astype(float)
    visits[::31] = 1e-30
    return {
        "spent": pa.array(spent, from_pandas=True),
        "visits": pa.array(visits),
        "city": pa.array([None if i % 13 == 0 else CITIES[i * i % 40] for i in range(ROWS)]),
        "idle": pa.array(np.zeros(ROWS)),
    }


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    prefixes, _ = category_hashes(CITIES[:36], KEY)
    return Encoder(
        (Feature("idle"), Feature("spent"), Feature("city", categorical=True), Feature("visits")),
        (
            NumericBins(()),
            NumericBins((10.5, 30.5)),
            CategoryBins(tuple(map(int, prefixes))),
            NumericBins((1.5,)),
        ),
    )


def trained(encoder: Encoder, columns: dict[str, Any], **parameters: Any) -> tuple[str, Any]:
    """Train LightGBM on what it is given, and return the text and what it predicts."""
    rows = encoder.to_lightgbm(columns, KEY)
    random = np.random.default_rng(4)
    odds = np.nan_to_num(rows[:, 1]).clip(-50, 50) / 30 + np.nan_to_num(rows[:, 2]) % 3
    label = (random.random(ROWS) * 3 < odds).astype(int)
    if parameters.get("objective") == "multiclass":
        label = label + (rows[:, 3] > 2)
    names = [feature.name for feature in encoder.features]
    data = lightgbm.Dataset(rows, label, feature_name=names, categorical_feature=[2])
    given = {"objective": "binary", "verbose": -1, "num_threads": 1, "seed": 1, "num_leaves": 15}
    booster = lightgbm.train(given | parameters, data, num_boost_round=12)
    return booster.model_to_string(), booster.predict(rows)


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"objective": "binary", "sigmoid": 0.7},
        {"objective": "cross_entropy"},
        {"objective": "regression"},
        {"objective": "regression_l1"},
        {"objective": "poisson"},
        {"objective": "tweedie"},
        {"use_missing": False},
        {"max_cat_to_onehot": 1, "cat_smooth": 0.1, "min_data_per_group": 1},
        {"min_data_in_leaf": 1, "num_leaves": 63},
    ],
    ids=str,
)
def test_a_text_of_lightgbm_is_scored_as_lightgbm_does(
    encoder: Encoder, columns: dict[str, Any], parameters: dict[str, Any]
) -> None:
    text, expected = trained(encoder, columns, **parameters)
    model = column_predictor(text, encoder)
    assert isinstance(model, _Compiled)
    assert np.array_equal(model.predict(columns, KEY), expected)
    assert len(np.unique(expected)) > 5


@pytest.mark.parametrize(
    "parameters",
    [
        {"objective": "multiclass", "num_class": 3},
        {"zero_as_missing": True},
        {"max_bin": 2_000, "min_data_in_bin": 1, "min_data_in_leaf": 1, "num_leaves": 400},
    ],
    ids=str,
)
def test_what_does_not_fit_is_left_to_lightgbm(
    encoder: Encoder, columns: dict[str, Any], parameters: dict[str, Any]
) -> None:
    text, expected = trained(encoder, columns, **parameters)
    model = column_predictor(text, encoder)
    assert isinstance(model, _LightGbm)
    assert np.array_equal(model.predict(columns, KEY), expected)


def test_only_the_columns_that_trees_ask_for_are_read(
    encoder: Encoder, columns: dict[str, Any]
) -> None:
    text, expected = trained(encoder, columns)
    model = column_predictor(text, encoder)
    assert [feature.name for feature in model.features] == ["spent", "city", "visits"]
    needed = {name: columns[name] for name in ("spent", "city", "visits")}
    assert np.array_equal(model.predict(needed, KEY), expected)
    with pytest.raises(DataError, match="'city'"):
        model.predict({"spent": columns["spent"], "visits": columns["visits"]}, KEY)


def test_a_cut_beyond_every_number_tells_what_is_there_from_what_is_missing() -> None:
    """As our own texts write it; infinities are the largest numbers that are told apart."""
    text = SPLIT_ON_MISSING
    encoder = Encoder((Feature("spent"),), (NumericBins(()),))
    columns = {"spent": pa.array([1.0, None, math.inf, -math.inf, 0.0])}
    for cut in ("1.7976931348623157e308", "-1.7976931348623157e308"):
        for decision in (8, 10):
            own = with_tree_size(text.replace("CUT", cut).replace("DECISION", str(decision)))
            model = column_predictor(own, encoder)
            assert isinstance(model, _Compiled)
            expected = load_booster(own).predict(encoder.to_lightgbm(columns, KEY))
            assert np.array_equal(model.predict(columns, KEY), expected)


def test_a_model_of_one_leaf_scores_everyone_alike(
    encoder: Encoder, columns: dict[str, Any]
) -> None:
    text, expected = trained(encoder, columns, min_data_in_leaf=ROWS)
    assert np.array_equal(column_predictor(text, encoder).predict(columns, KEY), expected)
    assert len(np.unique(expected)) == 1


def test_another_kind_of_feature_than_the_encoders_is_left_to_lightgbm(
    encoder: Encoder, columns: dict[str, Any]
) -> None:
    text, _ = trained(encoder, columns)
    as_number = Encoder(
        tuple(Feature(feature.name) for feature in encoder.features),
        tuple(NumericBins(()) for _ in encoder.bins),
    )
    assert isinstance(column_predictor(text, as_number), _LightGbm)


def test_a_text_that_cannot_be_trusted_is_refused(
    encoder: Encoder, columns: dict[str, Any]
) -> None:
    text, _ = trained(encoder, columns)
    with pytest.raises(ModelFormatError):
        column_predictor(text.replace("num_leaves=", "num_leaves=9", 1), encoder)

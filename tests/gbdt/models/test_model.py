"""The text of a model: its bytes, its cover, and what its names may hold."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from lightgbm import Booster

from fed_audience.errors import ConfigError
from fed_audience.gbdt.bins import CategoryBins, Feature, NumericBins
from fed_audience.gbdt.models.model import Model, to_text
from fed_audience.gbdt.models.reader import load_booster, read_model
from fed_audience.gbdt.tree import NodeSums, Split, Tree

if TYPE_CHECKING:
    from pathlib import Path

MODEL = Model(
    features=(Feature("recency_days"), Feature("länd", categorical=True), Feature("constant")),
    bins=(NumericBins((0.5, 1930.5, 1e21)), CategoryBins(tuple(range(40))), NumericBins(())),
    trees=(
        Tree(
            splits=(
                Split(0, 12.5, bin=1, missing_left=True),
                Split(1, 3.25, left_codes=(0, 5, 33)),
                Split(2, 1.0, bin=0),
            ),
            left=(1, -1, -3),
            right=(2, -2, -4),
            leaf_values=(-0.1, 0.2, 0.05, 0.3),
            internal_sums=(NodeSums(-40, 100), NodeSums(-10, 60), NodeSums(-30, 40)),
            leaf_sums=(NodeSums(5, 50), NodeSums(-15, 10), NodeSums(-5, 30), NodeSums(-25, 10)),
        ),
        Tree((), (), (), (0.015,), (), (NodeSums(-3, 90),)),
    ),
    base_scores=(-1.5,),
    learning_rate=0.1,
)

GOLDEN = """\
tree
version=v4
num_class=1
num_tree_per_iteration=1
label_index=0
max_feature_idx=2
objective=binary sigmoid:1
feature_names=recency_days länd constant
feature_infos=[0.5:1e+21] {codes} none
tree_sizes=369 226

Tree=0
num_leaves=4
num_cat=1
split_feature=0 1 2
split_gain=0 0 0
threshold=1930.5 0 1.7976931348623157e+308
decision_type=10 1 8
left_child=1 -1 -3
right_child=2 -2 -4
leaf_value=-1.6 -1.3 -1.45 -1.2
leaf_weight=0 0 0 0
leaf_count=1 1 1 1
internal_value=0 0 0
internal_weight=0 0 0
internal_count=4 2 2
cat_boundaries=0 2
cat_threshold=33 2
is_linear=0
shrinkage=1


Tree=1
num_leaves=1
num_cat=0
split_feature=
split_gain=
threshold=
decision_type=
left_child=
right_child=
leaf_value=0.015
leaf_weight=
leaf_count=1
internal_value=
internal_weight=
internal_count=
is_linear=0
shrinkage=1


end of trees
""".format(codes=":".join(map(str, range(40))))


def test_text_is_this_to_the_byte() -> None:
    assert to_text(MODEL) == GOLDEN
    assert read_model(GOLDEN).features == ("recency_days", "länd", "constant")


def test_what_noise_promised_stands_behind_the_trees_and_lightgbm_reads_over_it(
    capfd: pytest.CaptureFixture[str],
) -> None:
    promised = '{"delta": 1e-06, "epsilon": 1.0}'
    text = to_text(replace(MODEL, privacy=promised))
    assert text == f"{GOLDEN}\nprivacy:{promised}\n"
    assert (read_model(text).privacy, read_model(GOLDEN).privacy) == (promised, None)
    assert read_model(text).body == GOLDEN
    assert Booster(model_str=text).num_trees() == 2
    assert capfd.readouterr() == ("", "")


def test_a_model_without_trees_is_its_base_score() -> None:
    booster = load_booster(to_text(replace(MODEL, trees=())))
    assert booster.predict(np.zeros((2, 3)), raw_score=True).tolist() == [-1.5, -1.5]


def test_the_trees_of_three_classes_take_turns() -> None:
    stump = Tree((), (), (), (0.5,), (), (NodeSums(0, 1),))
    model = replace(
        MODEL,
        trees=(stump,) * 6,
        base_scores=(1.0, 2.0, 3.0),
        objective="multiclass num_class:3",
    )
    text = to_text(model)
    assert "num_class=3\nnum_tree_per_iteration=3\n" in text
    assert [line[11:] for line in text.split("\n") if line.startswith("leaf_value=")] == [
        *("1.5", "2.5", "3.5"),
        *("0.5", "0.5", "0.5"),
    ]
    assert load_booster(text).predict(np.zeros((1, 3)), raw_score=True).tolist() == [[2, 3, 4]]
    alone = load_booster(to_text(replace(model, trees=())))
    assert alone.predict(np.zeros((1, 3)), raw_score=True).tolist() == [[1, 2, 3]]


@pytest.mark.parametrize(
    ("objective", "scores"),
    [
        ("binary", 1),
        ("multiclass num_class:1", 1),
        ("multiclass num_class:3", 2),
        ("regression", 3),
        ("poisson", 0),
    ],
)
def test_objective_and_base_scores_must_agree(objective: str, scores: int) -> None:
    with pytest.raises(ConfigError, match="does not fit the number of base scores"):
        replace(MODEL, objective=objective, base_scores=(0.0,) * scores)


def test_an_unfinished_iteration_is_refused() -> None:
    with pytest.raises(ConfigError, match="2 trees; allowed: a multiple of 3"):
        replace(MODEL, objective="multiclass num_class:3", base_scores=(0.0,) * 3)


@pytest.mark.parametrize("cover", ["none", "full"])
def test_shap_values_add_up_to_the_score(cover: str) -> None:
    booster = load_booster(to_text(MODEL, cover=cover))  # type: ignore[arg-type]
    values = np.array([[0.0, 5.0, 1.0], [2e3, 7.0, np.nan], [np.nan, np.nan, 0.0]])
    shares = booster.predict(values, pred_contrib=True)
    np.testing.assert_allclose(shares.sum(axis=1), booster.predict(values, raw_score=True))
    assert np.all(shares[:, 1] != 0)


def test_lightgbm_can_go_on_training_from_the_text(tmp_path: Path) -> None:
    import lightgbm  # noqa: PLC0415 - as lazily as the product imports it

    random = np.random.default_rng(0)
    values = random.normal(size=(300, 3)) * [1e3, 0, 1]
    data = lightgbm.Dataset(values, values[:, 0] > 0, categorical_feature=[1])
    start = load_booster(to_text(MODEL))
    longer = lightgbm.train({"objective": "binary", "verbose": -1}, data, 3, init_model=start)
    assert longer.num_trees() == 5
    assert load_booster(longer.model_to_string()).num_trees() == 5


@pytest.mark.parametrize(
    "name", ["two words", "a=b", "tab\t", "line\n", "nul\0", 'say"', "a:b", ""]
)
def test_a_name_that_the_text_cannot_carry_is_refused(name: str) -> None:
    features = (Feature(name), *MODEL.features[1:])
    with pytest.raises(ConfigError, match="rename the column"):
        replace(MODEL, features=features)


def test_two_features_of_one_name_are_refused() -> None:
    features = (MODEL.features[2], *MODEL.features[1:])
    with pytest.raises(ConfigError, match="same name; value: constant"):
        replace(MODEL, features=features)


def test_features_and_bins_must_agree() -> None:
    with pytest.raises(ConfigError, match="different kinds"):
        replace(MODEL, features=(*MODEL.features[:2], Feature("constant", categorical=True)))
    with pytest.raises(ConfigError, match="3 features, 2 bins"):
        replace(MODEL, bins=MODEL.bins[:2])


def test_a_numeric_split_on_categories_is_refused() -> None:
    tree = replace(MODEL.trees[0], splits=(*MODEL.trees[0].splits[:2], Split(1, 1.0, bin=0)))
    with pytest.raises(ConfigError, match="numeric split on a categorical"):
        to_text(replace(MODEL, trees=(tree,)))

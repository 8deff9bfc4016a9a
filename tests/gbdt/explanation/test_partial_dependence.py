"""Partial dependence against scikit-learn's 'recursion', and against brute force."""

from __future__ import annotations

from dataclasses import replace

import lightgbm
import numpy as np
import pytest
from hypothesis import given, settings
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.inspection import partial_dependence as sklearn_dependence

from fed_audience.errors import UsageError
from fed_audience.gbdt.bins import MISSING_CODE, CategoryBins, Feature, NumericBins
from fed_audience.gbdt.explanation import partial_dependence
from fed_audience.gbdt.models.model import Model, to_text
from fed_audience.gbdt.models.reader import ModelText, read_model
from fed_audience.gbdt.tree import NodeSums, Split, Tree
from tests.gbdt.models.test_model import MODEL
from tests.gbdt.models.test_predictor import models


def of_sklearn(forest: HistGradientBoostingRegressor) -> Model:
    """Its trees as ours; a node's hessian is its number of rows."""
    nodes = [predictors[0].nodes for predictors in forest._predictors]
    features = forest.n_features_in_
    cuts: list[list[float]] = []
    for f in range(features):
        used = [tree[(tree["is_leaf"] == 0) & (tree["feature_idx"] == f)] for tree in nodes]
        cuts.append(np.unique(np.concatenate([n["num_threshold"] for n in used])).tolist())
    trees = []
    for tree in nodes:
        inner = {i: k for k, i in enumerate(np.flatnonzero(tree["is_leaf"] == 0))}
        leaves = {i: -k - 1 for k, i in enumerate(np.flatnonzero(tree["is_leaf"]))}
        name = inner | leaves
        splits = [
            Split(
                int(n["feature_idx"]),
                float(n["gain"]),
                bin=cuts[n["feature_idx"]].index(n["num_threshold"]),
                missing_left=bool(n["missing_go_to_left"]),
            )
            for n in tree[list(inner)]
        ]
        trees.append(
            Tree(
                tuple(splits),
                tuple(int(name[n["left"]]) for n in tree[list(inner)]),
                tuple(int(name[n["right"]]) for n in tree[list(inner)]),
                tuple(tree[list(leaves)]["value"].tolist()),
                tuple(NodeSums(0, int(n["count"])) for n in tree[list(inner)]),
                tuple(NodeSums(0, int(n["count"])) for n in tree[list(leaves)]),
            )
        )
    names = tuple(Feature(f"f{f}") for f in range(features))
    return Model(
        names, tuple(NumericBins(tuple(c)) for c in cuts), tuple(trees), (0.0,), 0.1, "regression"
    )


def test_it_is_scikit_learns() -> None:
    draw = np.random.default_rng(0)
    values = draw.normal(size=(600, 4))
    target = values[:, 0] * (1 + values[:, 1]) + np.abs(values[:, 2]) + draw.normal(size=600)
    forest = HistGradientBoostingRegressor(max_iter=8, random_state=0).fit(values, target)
    model = of_sklearn(forest)
    for feature in range(4):
        theirs = sklearn_dependence(
            forest, values, [feature], method="recursion", grid_resolution=50
        )
        ours = partial_dependence(model, f"f{feature}")
        at = np.searchsorted(ours.borders, theirs["grid_values"][0])
        np.testing.assert_allclose(ours.values[0][at], theirs["average"][0], rtol=1e-12, atol=1e-12)


def brute(model: Model, feature: int, code: int) -> np.ndarray:
    """One tree at a time, one branch at a time."""

    def walk(tree: Tree, node: int) -> tuple[float, float]:
        if node < 0:
            return tree.leaf_values[-node - 1], tree.leaf_sums[-node - 1].hessian
        split, left, right = (
            tree.splits[node],
            *(walk(tree, c[node]) for c in (tree.left, tree.right)),
        )
        weight = left[1] + right[1]
        if split.feature == feature:
            goes_left = (
                code in split.left_codes
                if split.categorical
                else (split.missing_left if code == MISSING_CODE else code <= split.bin)
            )
            return (left if goes_left else right)[0], weight
        share = left[1] / weight if weight else 0.5
        return share * left[0] + (1 - share) * right[0], weight

    values = list(model.base_scores)
    for index, tree in enumerate(model.trees):
        values[index % model.classes] += walk(tree, 0 if tree.splits else -1)[0]
    return np.array(values)


@given(models())
@settings(max_examples=80)
def test_every_bin_category_and_gap_is_what_brute_force_says(model: Model) -> None:
    for index, (feature, bins) in enumerate(zip(model.features, model.bins, strict=True)):
        found = partial_dependence(model, feature.name)
        assert set(found.borders) <= set(getattr(bins, "thresholds", ()))
        np.testing.assert_allclose(
            found.missing, brute(model, index, MISSING_CODE), rtol=1e-9, atol=1e-9
        )
        if isinstance(bins, CategoryBins):
            assert found.categories == tuple(range(bins.size))
            regions = list(found.categories)
        else:
            regions = [int(np.searchsorted(found.borders, cut)) for cut in bins.thresholds]
            regions.append(len(found.borders))
        for code, region in enumerate(regions):
            expected = brute(model, index, code)
            np.testing.assert_allclose(found.values[:, region], expected, rtol=1e-9, atol=1e-9)


def test_a_text_weighs_by_the_covers_it_tells() -> None:
    exact = partial_dependence(MODEL, "recency_days")
    full = partial_dependence(read_model(to_text(MODEL, cover="full")), "recency_days")
    np.testing.assert_allclose(full.values, exact.values, atol=1e-6)
    assert full.borders == exact.borders == (1930.5,)
    none = partial_dependence(read_model(to_text(MODEL)), "recency_days")
    assert none.values[0].tolist() == pytest.approx([-1.5 + 0.05 + 0.015, -1.5 + 0.175 + 0.015])
    # Hessians 50 : 10 and 30 : 10, on a base of -1.5 and a constant tree of 0.015.
    assert exact.values[0].tolist() == pytest.approx([-1.5 - 0.05 + 0.015, -1.5 + 0.1125 + 0.015])
    assert exact.missing.tolist() == exact.values[:, 0].tolist()
    assert exact.effect == pytest.approx(0.1625)


@pytest.mark.parametrize("missing", ["nan", "none", "zero"])
def test_lightgbms_own_texts_are_understood(missing: str) -> None:
    """A model of one feature: its partial dependence is its prediction."""
    draw = np.random.default_rng(1)
    x = draw.integers(-3, 4, 500).astype(float)
    x[draw.random(500) < 0.2] = np.nan if missing == "nan" else 0.0
    options = {
        "verbose": -1,
        "num_threads": 1,
        "min_data_in_leaf": 5,
        "zero_as_missing": missing == "zero",
    }
    data = lightgbm.Dataset(x[:, None], np.sin(x) ** 2 + np.isnan(x), params=options)
    booster = lightgbm.train({"objective": "regression", **options}, data, 5)
    found = partial_dependence(read_model(booster.model_to_string()), "Column_0")
    points = np.array([-9.0, -3.0, -1.5, 0.0, 0.5, 1.0, 3.0, 99.0])
    at = np.searchsorted(found.borders, points)
    np.testing.assert_allclose(found.values[0][at], booster.predict(points[:, None]), rtol=1e-12)
    np.testing.assert_allclose(found.missing, booster.predict([[np.nan]]), rtol=1e-12)


def test_categories_that_a_text_does_not_list_are_those_its_splits_name() -> None:
    text = read_model(to_text(MODEL))
    unlisted = ModelText(
        text.features, ("none",) * 3, text.objective, text.classes, text.trees, text.body
    )
    found = partial_dependence(unlisted, "länd")
    assert found.categories == (0, 5, 33)
    listed = partial_dependence(text, "länd")
    np.testing.assert_array_equal(found.values, listed.values[:, [0, 5, 33]])


def test_a_feature_without_splits_has_no_effect() -> None:
    found = partial_dependence(replace(MODEL, trees=MODEL.trees[1:]), "recency_days")
    assert found.borders == ()
    assert found.values.tolist() == [[-1.485]]
    assert found.effect == 0.0
    assert partial_dependence(replace(MODEL, trees=()), "länd").missing.tolist() == [-1.5]


def test_an_unknown_feature_is_named() -> None:
    with pytest.raises(UsageError, match=r"no feature of that name; value: age; allowed: recency_"):
        partial_dependence(MODEL, "age")

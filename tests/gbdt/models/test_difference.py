"""Where two models part: header, trees, nodes, leaves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given, settings

from fed_audience.gbdt.bins import Feature, NumericBins
from fed_audience.gbdt.models.difference import (
    LeafDifference,
    ModelDifference,
    NodeDifference,
    model_difference,
)
from fed_audience.gbdt.models.model import Model, to_text
from fed_audience.gbdt.models.reader import read_model
from fed_audience.gbdt.tree import Split
from tests.gbdt.models.test_model import MODEL
from tests.gbdt.models.test_predictor import models


def difference(first: Model, second: Model) -> ModelDifference:
    return model_difference(read_model(to_text(first)), read_model(to_text(second)))


def changed(**fields: Any) -> Model:
    """MODEL with other fields in its first tree."""
    return replace(MODEL, trees=(replace(MODEL.trees[0], **fields), *MODEL.trees[1:]))


@given(models(), models())
@settings(max_examples=60)
def test_a_model_is_itself_and_differences_have_two_sides(first: Model, second: Model) -> None:
    for cover in ("coarse", "full"):
        told = read_model(to_text(first, cover=cover))
        assert model_difference(read_model(to_text(first)), told).same
    found, back = difference(first, second), difference(second, first)
    assert found.same == back.same
    assert found.common_trees == back.common_trees
    assert (found.added, found.removed) == (back.removed, back.added)
    assert found.same == (to_text(first) == to_text(second)) or first.bins == second.bins
    assume(found.node is not None)
    assert found.node is not None
    assert back.node is not None
    assert (found.node.first, found.node.second) == (back.node.second, back.node.first)


def test_the_first_differing_split_is_shown_side_by_side() -> None:
    splits = MODEL.trees[0].splits
    other = changed(splits=(splits[0], Split(1, 3.25, left_codes=(0, 33)), splits[2]))
    found = difference(MODEL, other)
    assert not found.same
    assert found.common_trees == 0
    assert found.node == NodeDifference(0, "L", "länd in {0, 5, 33}", "länd in {0, 33}")
    turned = changed(splits=(replace(splits[0], missing_left=False), *splits[1:]))
    assert difference(MODEL, turned).node == NodeDifference(
        0, "", "recency_days <= 1930.5, missing left", "recency_days <= 1930.5, missing right"
    )


def test_a_leaf_against_a_split() -> None:
    found = difference(replace(MODEL, trees=MODEL.trees[:1]), replace(MODEL, trees=MODEL.trees[1:]))
    assert found.node == NodeDifference(
        0, "", "recency_days <= 1930.5, missing left", "leaf -1.485"
    )
    assert found.leaf is None


def test_the_largest_leaf_difference_is_found_in_any_tree() -> None:
    other = changed(leaf_values=(-0.1, 0.2, 0.25, 0.3))
    last = replace(other.trees[1], leaf_values=(0.02,))
    found = difference(MODEL, replace(other, trees=(other.trees[0], last)))
    assert found.leaf == LeafDifference(0, "RL", -1.45, -1.25)
    assert found.leaf.size == pytest.approx(0.2)
    assert found.node == NodeDifference(0, "RL", "leaf -1.45", "leaf -1.25")
    assert found.common_trees == 0


def test_a_model_that_goes_on_shares_all_trees_of_the_other() -> None:
    found = difference(MODEL, replace(MODEL, trees=(*MODEL.trees, MODEL.trees[1])))
    assert (found.trees, found.common_trees, found.node, found.leaf) == ((2, 3), 2, None, None)
    assert not found.same


def test_a_tree_after_a_differing_one_is_not_common() -> None:
    other = changed(leaf_values=(0.0, 0.2, 0.05, 0.3))
    assert difference(MODEL, other).common_trees == 0


def test_nodes_are_compared_by_place_not_by_number() -> None:
    tree = MODEL.trees[0]
    renumbered = changed(
        splits=(tree.splits[0], tree.splits[2], tree.splits[1]),
        left=(2, -3, -1),
        right=(1, -4, -2),
    )
    assert difference(MODEL, renumbered).same


def test_features_bins_and_objective() -> None:
    other = Model(
        features=(MODEL.features[2], Feature("age"), MODEL.features[0]),
        bins=(NumericBins(()), NumericBins((1.0,)), NumericBins((0.5, 2.0))),
        trees=(),
        base_scores=(-1.5,),
        learning_rate=0.1,
        objective="poisson",
    )
    found = difference(replace(MODEL, trees=()), other)
    assert found.objectives == ("binary sigmoid:1", "poisson")
    assert (found.added, found.removed) == (("age",), ("länd",))
    assert found.reordered
    assert found.bins == (("recency_days", "[0.5:1e+21]", "[0.5:2.0]"),)
    assert found.common_trees == 1
    assert not found.same


def test_a_long_set_of_categories_is_cut_in_words_but_compared_whole() -> None:
    splits = MODEL.trees[0].splits
    many, more = (
        changed(splits=(splits[0], Split(1, 1.0, left_codes=tuple(codes)), splits[2]))
        for codes in (range(20), range(21))
    )
    found = difference(many, more)
    assert found.node is not None
    assert found.node.first == "länd in {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11} and 8 more"
    assert found.node.second.endswith("and 9 more")

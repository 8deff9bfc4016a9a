"""What each level of cover tells of the nodes of a model, and that scores never depend on it."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fed_audience.gbdt.models.cover import fill_cover
from fed_audience.gbdt.models.cover_levels import (
    COARSE_UNITS,
    COVER_UNITS,
    on_coarse_steps,
    told_cover,
)
from fed_audience.gbdt.models.model import Model, to_text
from fed_audience.gbdt.models.reader import TreeText, load_booster, read_model
from fed_audience.gbdt.tree import NodeSums
from tests.gbdt.models.test_model import MODEL
from tests.gbdt.models.test_predictor import models, telling_values

if TYPE_CHECKING:
    from fed_audience.gbdt.models.cover_levels import CoverLevel


LEVELS: tuple[CoverLevel, ...] = ("none", "coarse", "full")


def first_tree(model: Model, cover: CoverLevel) -> TreeText:
    return read_model(to_text(model, cover=cover)).trees[0]


def with_hessians(*hessians: int) -> Model:
    sums = tuple(NodeSums(0, hessian) for hessian in hessians)
    return replace(MODEL, trees=(replace(MODEL.trees[0], leaf_sums=sums),))


def test_full_tells_sums_and_none_tells_nothing() -> None:
    full, none = first_tree(MODEL, "full"), first_tree(MODEL, "none")
    assert full.split_gain == (12.5, 3.25, 1.0)
    assert full.leaf_count == (500_000, 100_000, 300_000, 100_000)
    assert full.internal_count == (COVER_UNITS, 600_000, 400_000)
    assert none.split_gain == (0.0, 0.0, 0.0)
    assert none.leaf_count == (1, 1, 1, 1)
    assert none.leaf_value == full.leaf_value


def test_full_tells_the_mean_value_below_each_node() -> None:
    lines = to_text(MODEL, cover="full").split("\n")
    line = next(line for line in lines if line.startswith("internal_value="))
    # Leaves -0.1, 0.2, 0.05, 0.3 of hessians 50, 10, 30, 10, on a base score of -1.5.
    expected = [-1.5 + 1.5 / 100, -1.5 - 3 / 60, -1.5 + 4.5 / 40]
    assert [float(x) for x in line.split("=")[1].split(" ")] == pytest.approx(expected, abs=1e-15)


def test_coarse_tells_the_nearest_of_five_shares() -> None:
    # 60 of 100 is about a half; 50 of 60 about three quarters; 30 of 40 three quarters exactly.
    tree = first_tree(MODEL, "coarse")
    half = COARSE_UNITS // 2
    assert tree.internal_count == (COARSE_UNITS, half, half)
    assert tree.leaf_count == (half // 4 * 3, half // 4, half // 4 * 3, half // 4)
    assert tree.split_gain == (0.0, 0.0, 0.0)
    text = to_text(MODEL, cover="coarse")
    assert "leaf_weight=0 0 0 0\n" in text
    assert "internal_value=0 0 0\ninternal_weight=0 0 0\n" in text


@pytest.mark.parametrize(
    ("left", "sixteenths"),
    [(0, 1), (1, 1), (15, 1), (16, 4), (37, 4), (38, 8), (50, 8), (62, 8), (63, 12), (85, 15)],
)
def test_a_share_is_rounded_to_the_nearest_step(left: int, sixteenths: int) -> None:
    tree = first_tree(with_hessians(left, 0, 100 - left, 0), "coarse")
    assert tree.internal_count[1] * 16 == sixteenths * COARSE_UNITS


def test_a_row_more_or_less_does_not_show_in_coarse() -> None:
    texts = {to_text(with_hessians(400 + row, 200, 300, 100), cover="coarse") for row in range(20)}
    assert len(texts) == 1


@pytest.mark.parametrize("cover", ["full", "coarse"])
def test_a_leaf_that_holds_next_to_nothing_still_covers_one(cover: CoverLevel) -> None:
    tree = first_tree(with_hessians(0, 0, 10**9, 0), cover)
    assert min(tree.leaf_count) >= 1


@given(models())
@settings(max_examples=60)
def test_coarse_shares_are_steps_and_scores_stay(model: Model) -> None:
    text = to_text(model, cover="coarse")
    for tree in read_model(text).trees:
        for node, whole in enumerate(tree.internal_count):
            child = tree.left[node]
            left = tree.internal_count[child] if child >= 0 else tree.leaf_count[-child - 1]
            assert on_coarse_steps(left, whole) or whole < 2**14
    values = telling_values(model.bins)
    scores = [
        load_booster(to_text(model, cover=level)).predict(values, raw_score=True, num_threads=1)
        for level in LEVELS
    ]
    for one, other in pairwise(scores):
        np.testing.assert_array_equal(one, other)


@given(st.integers(1, 10**6), st.data())
def test_shares_between_the_steps_are_known_as_such(whole: int, data: st.DataObject) -> None:
    left = data.draw(st.integers(0, whole))
    nearest = min(abs(left / whole - step / 16) for step in (1, 4, 8, 12, 15))
    assert on_coarse_steps(left, whole) == (nearest * 256 <= 1)


@given(models())
@settings(max_examples=40)
def test_a_text_says_which_level_it_is(model: Model) -> None:
    split = any(tree.splits for tree in model.trees)
    gain = any(split.gain for tree in model.trees for split in tree.splits)
    told = {level: told_cover(read_model(to_text(model, cover=level)).trees) for level in LEVELS}
    assert told == {
        "none": "none",
        "coarse": "coarse" if split else "none",
        "full": "full" if gain else told["full"],
    }


def test_a_private_copy_tells_counts() -> None:
    codes = np.random.default_rng(0).integers(0, 4, (1_000, 3)).astype(np.uint8)
    assert told_cover(read_model(fill_cover(MODEL, codes)).trees) == "counts"
    constant = replace(MODEL, trees=MODEL.trees[1:])
    assert told_cover(read_model(fill_cover(constant, codes)).trees) == "counts"

"""A site's private cover: contributions add up, and start from the mean score of its rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fed_audience.errors import DataError, ModelFormatError
from fed_audience.gbdt.models.cover import ROOT_COVER, fill_cover, fill_text_cover
from fed_audience.gbdt.models.model import Model, to_text
from fed_audience.gbdt.models.predictor import Predictor, raw_scores
from fed_audience.gbdt.models.reader import load_booster, read_model
from tests.gbdt.models.test_model import MODEL
from tests.gbdt.models.test_predictor import encode, models, telling_values


def by_class(model: Model, contributions: np.ndarray) -> np.ndarray:
    """LightGBM's contributions as float64[K, n, F + 1]."""
    rows = len(contributions)
    return contributions.reshape(rows, model.classes, -1).transpose(1, 0, 2)


@given(models(), st.booleans())
@settings(max_examples=60)
def test_contributions_add_up_and_expect_the_mean_score(model: Model, weighted: bool) -> None:  # noqa: FBT001 - drawn by hypothesis
    values = telling_values(model.bins)
    codes = encode(values, model.bins)
    weights = np.random.default_rng(len(values)).random(len(values)) if weighted else None
    booster = load_booster(fill_cover(model, codes, weights))
    raw = np.atleast_2d(raw_scores(model, codes))
    np.testing.assert_array_equal(
        np.atleast_2d(booster.predict(values, raw_score=True, num_threads=1).T), raw
    )
    parts = by_class(model, booster.predict(values, pred_contrib=True, num_threads=1))
    size = 1 + sum(max(map(abs, tree.leaf_values)) for tree in model.trees)
    np.testing.assert_allclose(parts.sum(axis=2), raw, rtol=0, atol=1e-11 * size)
    # An empty leaf weighs 1 of 2^30; LightGBM leaves features out of a model of constants.
    assume(any(tree.splits for tree in model.trees))
    mean = np.average(raw, axis=1, weights=weights)
    np.testing.assert_allclose(parts[:, 0, -1], mean, rtol=0, atol=1e-6 * size)


def test_covers_are_the_rows_in_each_leaf() -> None:
    codes = np.array([[0, 0, 0], [0, 0, 0], [0, 1, 0], [3, 0, 0]], np.uint8)
    tree = read_model(fill_cover(MODEL, codes)).trees[0]
    row = ROOT_COVER // 4
    assert tree.leaf_count == (2 * row, row, row, 1)
    assert tree.internal_count == (4 * row + 1, 3 * row, row + 1)
    weighted = read_model(fill_cover(MODEL, codes, np.array([0.5, 0.5, 6.0, 1.0]))).trees[0]
    assert weighted.leaf_count == (ROOT_COVER // 8, ROOT_COVER // 8 * 6, ROOT_COVER // 8, 1)


@given(models())
@settings(max_examples=40)
def test_codes_and_values_give_the_same_text(model: Model) -> None:
    values = telling_values(model.bins)
    text = fill_cover(model, encode(values, model.bins))
    assert fill_text_cover(to_text(model), values) == text
    assert fill_text_cover(to_text(model, cover="coarse") + "\n", values) == text


def test_leaf_cover_counts_every_row_once_a_tree() -> None:
    codes = np.random.default_rng(1).integers(0, 4, (5_000, 3)).astype(np.uint8)
    cover = Predictor.of(MODEL).leaf_cover(codes)
    assert [len(leaves) for leaves in cover] == [4, 1]
    assert [leaves.sum() for leaves in cover] == [5_000, 5_000]
    constant = Predictor.of(replace(MODEL, trees=())).leaf_cover(codes)
    assert [leaves.tolist() for leaves in constant] == [[5_000.0]]


def test_nothing_to_count_is_refused() -> None:
    codes = np.zeros((2, 3), np.uint8)
    with pytest.raises(DataError, match="no row to take the cover"):
        fill_cover(MODEL, codes[:0])
    with pytest.raises(DataError, match=r"uint8\[rows, 3\]"):
        fill_cover(MODEL, codes[:, :2])
    for bad in ([1.0], [-1.0, 1.0], [np.nan, 1.0], [np.inf, 1.0], [0.0, 0.0], [1e308, 1e308]):
        with pytest.raises(DataError, match="weights that cannot weigh"):
            fill_cover(MODEL, codes, np.array(bad))
    with pytest.raises(DataError, match="rows do not fit"):
        fill_text_cover(to_text(MODEL), np.zeros((2, 2)))
    with pytest.raises(ModelFormatError):
        fill_text_cover("tree\n", np.zeros((2, 3)))

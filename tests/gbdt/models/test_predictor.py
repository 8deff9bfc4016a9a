"""Our evaluator on codes and LightGBM on values agree to the last bit."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fed_audience.errors import DataError
from fed_audience.gbdt.bins import MISSING_CODE, CategoryBins, Feature, NumericBins
from fed_audience.gbdt.models.model import Model, to_text
from fed_audience.gbdt.models.predictor import Predictor, raw_scores
from fed_audience.gbdt.models.reader import load_booster
from fed_audience.gbdt.tree import NodeSums, Split, Tree

if TYPE_CHECKING:
    from fed_audience.gbdt.bins import FeatureBins

CLIP = 2.0**64
ZERO = 2.0**-64
"""Smaller magnitudes are zero before they are binned; LightGBM's own limit is 1e-35."""


def encode(values: np.ndarray, bins: tuple[FeatureBins, ...]) -> np.ndarray:
    """Codes by the definition of a bin, one comparison at a time."""
    codes = np.full(values.shape, MISSING_CODE, np.uint8)
    for feature, of in enumerate(bins):
        for row, x in enumerate(values[:, feature]):
            if np.isnan(x):
                continue
            if isinstance(of, NumericBins):
                codes[row, feature] = sum(x > t for t in of.thresholds)
            elif x in range(of.size):
                codes[row, feature] = int(x)
    return codes


def finite(limit: float = CLIP) -> st.SearchStrategy[float]:
    return st.floats(-limit, limit, allow_nan=False)


@st.composite
def feature_bins(draw: st.DrawFn) -> FeatureBins:
    if draw(st.booleans()):
        return CategoryBins(tuple(range(draw(st.integers(1, 254)))))
    cuts = draw(st.lists(finite().filter(lambda x: x == 0 or abs(x) >= ZERO), max_size=12))
    cuts = list(dict.fromkeys(cuts))
    return NumericBins(tuple(sorted(cuts)))


@st.composite
def split_of(draw: st.DrawFn, bins: tuple[FeatureBins, ...]) -> Split:
    feature = draw(st.integers(0, len(bins) - 1))
    of = bins[feature]
    gain = draw(st.floats(0, 1e6))
    if isinstance(of, CategoryBins):
        codes = st.lists(st.integers(0, of.size - 1), min_size=1, max_size=20, unique=True)
        return Split(feature, gain, left_codes=tuple(sorted(draw(codes))))
    # 'Present or missing' is a split of its own and sends the missing right.
    position = draw(st.integers(0, of.size - 1))
    missing_left = position < of.size - 1 and draw(st.booleans())
    return Split(feature, gain, bin=position, missing_left=missing_left)


@st.composite
def tree_over(draw: st.DrawFn, bins: tuple[FeatureBins, ...]) -> Tree:
    leaves = draw(st.integers(1, 9))
    left, right = [], []
    # Grow as the trainer does: each split turns one open leaf into a node.
    open_leaves: list[tuple[list[int], int] | None] = [None]
    for node in range(leaves - 1):
        chosen = draw(st.integers(0, len(open_leaves) - 1))
        if (parent := open_leaves[chosen]) is not None:
            parent[0][parent[1]] = node
        left.append(-chosen - 1)
        right.append(-len(open_leaves) - 1)
        open_leaves[chosen] = (left, node)
        open_leaves.append((right, node))
    sums = st.builds(NodeSums, st.integers(-(10**12), 10**12), st.integers(0, 10**12))
    return Tree(
        splits=tuple(draw(split_of(bins)) for _ in range(leaves - 1)),
        left=tuple(left),
        right=tuple(right),
        leaf_values=tuple(draw(st.lists(finite(1e3), min_size=leaves, max_size=leaves))),
        internal_sums=tuple(draw(sums) for _ in range(leaves - 1)),
        leaf_sums=tuple(draw(sums) for _ in range(leaves)),
    )


OBJECTIVES = {
    "binary sigmoid:1": 1,
    "regression": 1,
    "poisson": 1,
    "tweedie": 1,
    "multiclass num_class:3": 3,
}
"""LightGBM's line of every objective, and the scores a row has under it."""


@st.composite
def models(draw: st.DrawFn) -> Model:
    bins = tuple(draw(st.lists(feature_bins(), min_size=1, max_size=4)))
    objective = draw(st.sampled_from(sorted(OBJECTIVES)))
    classes = OBJECTIVES[objective]
    trees = classes * draw(st.integers(0, 4 if classes == 1 else 2))
    return Model(
        features=tuple(Feature(f"f{i}", isinstance(b, CategoryBins)) for i, b in enumerate(bins)),
        bins=bins,
        trees=tuple(draw(tree_over(bins)) for _ in range(trees)),
        base_scores=tuple(draw(finite(20.0)) for _ in range(classes)),
        learning_rate=draw(st.floats(1e-3, 1.0)),
        objective=objective,
    )


def telling_values(bins: tuple[FeatureBins, ...]) -> np.ndarray:
    """Rows on, just below and just above every cut; every category and strangers; gaps."""
    columns = []
    for of in bins:
        if isinstance(of, NumericBins):
            cuts = np.array(of.thresholds)
            near = [cuts, np.nextafter(cuts, -np.inf), np.nextafter(cuts, np.inf)]
            columns.append(np.concatenate([*near, [np.nan, 0.0, -0.0, CLIP, -CLIP]]))
        else:
            columns.append(np.array([*range(of.size), np.nan, -1.0, of.size + 40.0, 1e9]))
    rows = max(map(len, columns))
    values = np.column_stack([np.resize(column, rows) for column in columns])
    return np.where(np.abs(values) < ZERO, 0.0, values)


def bits(scores: np.ndarray) -> list[bytes]:
    return [struct.pack("<d", score) for score in scores.ravel()]


def linked(objective: str, raw: np.ndarray) -> np.ndarray:
    """Predictions by the textbook's link; ``raw`` is float64[n] or float64[n, K]."""
    with np.errstate(over="ignore"):
        if objective.startswith("multiclass"):
            powers = np.exp(raw - raw.max(axis=1, keepdims=True))
            return np.asarray(powers / powers.sum(axis=1, keepdims=True))
        if objective in {"poisson", "tweedie"}:
            return np.asarray(np.exp(raw))
        return np.asarray(1 / (1 + np.exp(-raw))) if objective.startswith("binary") else raw


@given(models(), st.sampled_from(["none", "full"]))
@settings(max_examples=150)
def test_scores_equal_lightgbm_bit_for_bit(model: Model, cover: str) -> None:
    values = telling_values(model.bins)
    booster = load_booster(to_text(model, cover=cover))  # type: ignore[arg-type]
    theirs = booster.predict(values, raw_score=True, num_threads=1)
    ours = raw_scores(model, encode(values, model.bins)).T
    assert ours.shape == theirs.shape
    assert bits(ours) == bits(theirs)
    predicted = booster.predict(values, num_threads=1)
    np.testing.assert_allclose(predicted, linked(model.objective, ours), rtol=1e-12, atol=1e-300)


@given(models(), st.integers(1, 5))
@settings(max_examples=20)
def test_threads_do_not_change_a_bit(model: Model, threads: int) -> None:
    codes = encode(telling_values(model.bins), model.bins)
    predictor = Predictor.of(model)
    assert bits(predictor.raw_scores(codes, threads=threads)) == bits(predictor.raw_scores(codes))


def stump(split: Split, bins: FeatureBins) -> Model:
    tree = Tree((split,), (-1,), (-2,), (-1.0, 1.0), (NodeSums(0, 2),), (NodeSums(0, 1),) * 2)
    feature = Feature("f", isinstance(bins, CategoryBins))
    return Model((feature,), (bins,), (tree,), base_scores=(0.25,), learning_rate=0.1)


@pytest.mark.parametrize(
    ("missing_left", "expected"),
    [(False, [-0.75, -0.75, 1.25, 1.25]), (True, [-0.75] * 2 + [1.25, -0.75])],
)
def test_a_value_on_the_threshold_goes_left_and_missing_goes_where_told(
    missing_left: bool,  # noqa: FBT001 - a table of cases
    expected: list[float],
) -> None:
    model = stump(Split(0, 1.0, bin=1, missing_left=missing_left), NumericBins((1.0, 2.5, 4.0)))
    codes = np.array([[0], [1], [2], [MISSING_CODE]], np.uint8)
    assert raw_scores(model, codes).tolist() == expected
    values = np.array([[-np.inf], [2.5], [np.inf], [np.nan]])
    assert load_booster(to_text(model)).predict(values, raw_score=True).tolist() == expected


def test_present_against_missing_sends_every_number_left() -> None:
    model = stump(Split(0, 1.0, bin=1), NumericBins((1.0,)))
    booster = load_booster(to_text(model))
    values = np.array([[-1e300], [CLIP], [1e300], [np.nan]])
    assert booster.predict(values, raw_score=True).tolist() == [-0.75, -0.75, -0.75, 1.25]


def test_unseen_and_missing_categories_go_right() -> None:
    model = stump(Split(0, 1.0, left_codes=(0, 33)), CategoryBins(tuple(range(40))))
    values = np.array([[0.0], [33.0], [1.0], [np.nan], [-5.0], [4e9]])
    expected = [-0.75, -0.75, 1.25, 1.25, 1.25, 1.25]
    assert load_booster(to_text(model)).predict(values, raw_score=True).tolist() == expected
    assert raw_scores(model, encode(values, model.bins)).tolist() == expected


def test_more_rows_than_a_block_are_all_scored() -> None:
    model = stump(Split(0, 1.0, bin=0), NumericBins((1.0,)))
    codes = np.tile(np.array([[0], [1]], np.uint8), (5_001, 1))
    assert raw_scores(model, codes).tolist() == [-0.75, 1.25] * 5_001
    assert raw_scores(model, codes[:0]).tolist() == []


def test_codes_of_another_shape_are_refused() -> None:
    model = stump(Split(0, 1.0, bin=0), NumericBins((1.0,)))
    with pytest.raises(DataError, match=r"uint8\[rows, 1\]"):
        raw_scores(model, np.zeros((3, 2), np.uint8))
    with pytest.raises(DataError, match="encode the rows"):
        raw_scores(model, np.zeros((3, 1), np.int64).astype(np.float64))

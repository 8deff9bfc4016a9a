"""SHAP values at a site, and sums of them that leave it as integers."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from math import factorial, log2

import numpy as np
import pytest
from hypothesis import given, settings

from fed_audience.errors import DataError
from fed_audience.gbdt.explanation import (
    contribution_sums,
    contribution_unit,
    contributions,
    mean_contributions,
)
from fed_audience.gbdt.models.cover import fill_cover
from fed_audience.gbdt.models.model import Model, to_text
from fed_audience.gbdt.models.predictor import raw_scores
from tests.gbdt.models.test_model import MODEL
from tests.gbdt.models.test_predictor import encode, models, telling_values

VALUES = np.array([[0.0, 5.0, 1.0], [2e3, 7.0, np.nan], [np.nan, np.nan, 0.0], [1.0, 33.0, 2.0]])
CODES = encode(VALUES, MODEL.bins)
CAP = 2**27


@given(models())
@settings(max_examples=40)
def test_columns_add_up_to_the_score(model: Model) -> None:
    values = telling_values(model.bins)
    codes = encode(values, model.bins)
    found = contributions(fill_cover(model, codes), values)
    size = 1 + sum(max(map(abs, tree.leaf_values)) for tree in model.trees)
    raw = raw_scores(model, codes)
    assert found.shape == (*raw.shape, len(model.features) + 1)
    np.testing.assert_allclose(found.sum(axis=-1), raw, rtol=0, atol=1e-11 * size)


def test_they_are_shapley_values() -> None:
    """By the definition over all orders, for the path-dependent value of a set of features."""
    text = fill_cover(MODEL, CODES)
    tree = MODEL.trees[0]
    rows_of = {-1: 2.0, -2: 1.0, -3: 2**-28, -4: 1.0}  # two rows in leaf 0, none in leaf 2

    def value(node: int, row: np.ndarray, known: set[int]) -> float:
        if node < 0:
            return tree.leaf_values[-node - 1]
        split = tree.splits[node]
        children = (tree.left[node], tree.right[node])
        if split.feature in known:
            code = row[split.feature]
            left = (
                code in split.left_codes
                if split.categorical
                else (split.missing_left if code == 255 else code <= split.bin)
            )
            return value(children[0] if left else children[1], row, known)
        weights = [weight(child) for child in children]
        parts = [value(child, row, known) for child in children]
        return (weights[0] * parts[0] + weights[1] * parts[1]) / sum(weights)

    def weight(node: int) -> float:
        if node < 0:
            return rows_of[node]
        return weight(tree.left[node]) + weight(tree.right[node])

    found = contributions(text, VALUES)
    for row, codes in enumerate(CODES):
        for feature in range(3):
            others = {0, 1, 2} - {feature}
            expected = sum(
                factorial(size)
                * factorial(2 - size)
                / 6
                * (value(0, codes, {*chosen, feature}) - value(0, codes, set(chosen)))
                for size in range(3)
                for chosen in combinations(others, size)
            )
            assert found[row, feature] == pytest.approx(expected, abs=1e-7)


@given(models())
@settings(max_examples=40)
def test_sums_are_those_of_the_rows_and_add_over_sites(model: Model) -> None:
    values = telling_values(model.bins)
    codes = encode(values, model.bins)
    text = to_text(model, cover="coarse")
    unit = contribution_unit(model, CAP)
    sums = contribution_sums(model, codes, text, row_cap=CAP)
    parts = [contribution_sums(model, codes[i::3], text, row_cap=CAP) for i in range(3)]
    np.testing.assert_array_equal(sum(parts), sums)
    found = contributions(text, values)[..., :-1]
    by_row = np.abs(found).reshape(model.classes, len(values), -1).sum(axis=0)
    mean = mean_contributions(sums, unit)
    np.testing.assert_allclose(mean, by_row.mean(axis=0), rtol=0, atol=unit)
    assert sums[-1] == len(values)
    cap = unit * 2.0 ** min(40, 62 - CAP.bit_length())
    assert by_row.max() <= cap * (1 + 1e-12)


@pytest.mark.parametrize("row_cap", [1, 1_000, 2**20, 2**33])
def test_no_sum_can_overflow(row_cap: int) -> None:
    unit = contribution_unit(MODEL, row_cap)
    assert log2(unit) == int(log2(unit))
    spread = sum(max(tree.leaf_values) - min(tree.leaf_values) for tree in MODEL.trees)
    largest = np.ceil(spread / unit)
    assert largest * row_cap < 2**63
    assert largest >= min(2**27, 2**61 / row_cap / 2), "the unit is no coarser than it must be"


def test_no_rows_sum_to_nothing_and_have_no_mean() -> None:
    sums = contribution_sums(MODEL, CODES[:0], to_text(MODEL), row_cap=10)
    assert sums.tolist() == [0, 0, 0, 0]
    with pytest.raises(DataError, match="no row to explain"):
        mean_contributions(sums, 1.0)
    assert contributions(to_text(MODEL), VALUES[:0]).shape == (0, 4)
    classes = replace(MODEL, trees=(), base_scores=(0.0,) * 3, objective="multiclass num_class:3")
    assert contributions(to_text(classes), VALUES[:0]).shape == (3, 0, 4)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(DataError, match="more rows than"):
        contribution_sums(MODEL, CODES, to_text(MODEL), row_cap=3)
    with pytest.raises(DataError, match="rows do not fit the model"):
        contributions(to_text(MODEL), VALUES[:, :2])

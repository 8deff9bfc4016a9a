"""Features are counted and encoded where they lie, training rows first."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from fed_audience.federation.messages.refusal import Refusal
from fed_audience.federation.site.columns import CategoricalColumn, NumericColumn, read_column
from fed_audience.gbdt.bins import CategoryBins, Feature, NumericBins
from fed_audience.gbdt.bins.arrow_columns import BLOCK_ROWS
from fed_audience.gbdt.bins.categories import (
    bucket_counts,
    category_hashes,
    prefix_of,
    refined_counts,
    survivors,
)
from fed_audience.gbdt.bins.encoding import encode_categorical, encode_numeric
from fed_audience.gbdt.bins.grid import Grid, Refinement
from fed_audience.gbdt.bins.numbers import as_float64

KEY = b"a key that the sites share"
ROWS = BLOCK_ROWS + 500
DRAW = np.random.default_rng(3)
TRAINING = DRAW.random(ROWS) < 0.8
ORDER = np.concatenate((np.flatnonzero(TRAINING), np.flatnonzero(~TRAINING)))
FIRST: Any = pa.array([None, math.inf, -math.inf, 1e300] + [0.25] * 96)
NUMBERS: Any = pa.chunked_array([FIRST, pa.array(DRAW.normal(size=ROWS - 100))])
WORDS = np.array(["Oslo", "Bern", "Rome", None, "Kyiv"], dtype=object)[DRAW.integers(0, 5, ROWS)]
CITIES: Any = pa.chunked_array([WORDS[:70].tolist(), WORDS[70:].tolist()])


def number_column(training: Any = TRAINING) -> NumericColumn:
    column = read_column(Feature("x"), NUMBERS, training, KEY)
    assert isinstance(column, NumericColumn)
    return column


def city_column() -> CategoricalColumn:
    column = read_column(Feature("city", categorical=True), CITIES, TRAINING, KEY)
    assert isinstance(column, CategoricalColumn)
    return column


@pytest.mark.parametrize("grid", [Grid(), Grid((Refinement(5, (900, 1500)),))])
def test_numbers_are_counted_with_missing_and_clipped_last(grid: Grid) -> None:
    training = as_float64(NUMBERS)[TRAINING]
    counts = number_column().counts(grid)
    np.testing.assert_array_equal(counts[:-1], grid.counts(training))
    assert counts[-1] == np.isin(training, [math.inf, -math.inf, 1e300]).sum() > 0
    assert number_column(np.zeros(ROWS, dtype=np.bool_)).counts(grid).sum() == 0


def test_numbers_are_encoded_training_rows_first() -> None:
    bins = NumericBins((-0.5, 0.1, 2.0))
    out = np.empty(ROWS, dtype=np.uint8)
    number_column().encode(bins, out)
    np.testing.assert_array_equal(out, encode_numeric(as_float64(NUMBERS)[ORDER], bins))


def test_categories_are_counted_by_distinct_value_as_by_row() -> None:
    prefixes, missing = category_hashes(CITIES, KEY)
    prefixes, missing = prefixes[TRAINING], missing[TRAINING]
    column = city_column()
    counts = bucket_counts(prefixes, missing)
    np.testing.assert_array_equal(column.bucket_counts(), counts)
    kept = survivors(counts)[1:]
    np.testing.assert_array_equal(
        column.refined_counts(kept), refined_counts(prefixes, missing, kept)
    )
    assert column.categories.positions.dtype == np.uint8


def test_categories_are_encoded_training_rows_first() -> None:
    bins = CategoryBins((prefix_of("Rome", KEY), prefix_of("Oslo", KEY)))
    out = np.empty(ROWS, dtype=np.uint8)
    city_column().encode(bins, out)
    prefixes, missing = category_hashes(CITIES, KEY)
    np.testing.assert_array_equal(out, encode_categorical(prefixes[ORDER], missing[ORDER], bins))


@pytest.mark.parametrize("categorical", [True, False])
def test_a_column_of_another_type_is_refused_by_name(*, categorical: bool) -> None:
    nested = pa.array([["a"]] * 2)
    with pytest.raises(Refusal) as caught:
        read_column(Feature("x", categorical=categorical), nested, np.ones(2, np.bool_), KEY)
    assert (caught.value.reason, caught.value.column) == ("column_type", "x")

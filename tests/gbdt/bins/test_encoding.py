"""Columns become codes, the same whatever they are stored in."""

from __future__ import annotations

import datetime as dt
import json
import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fed_audience.errors import DataError, ModelFormatError
from fed_audience.gbdt.bins import MISSING_CODE, CategoryBins, Feature, NumericBins
from fed_audience.gbdt.bins.canonical import LARGEST, canonical
from fed_audience.gbdt.bins.categories import category_hashes, prefix_of
from fed_audience.gbdt.bins.encoding import Encoder, encode_categorical, encode_numeric

KEY = b"a key that the sites share"
UTC = dt.UTC

ENCODER = Encoder(
    features=(Feature("age"), Feature("city", categorical=True), Feature("spend")),
    bins=(
        NumericBins((17.5, 64.5)),
        CategoryBins((prefix_of("Oslo", KEY), prefix_of("Rome", KEY))),
        NumericBins((0.5,)),
    ),
)
COLUMNS: dict[str, Any] = {
    "age": pa.array([17, 18, None, 65]),
    "city": pa.array(["Rome", "Oslo", "Bern", None]),
    "spend": pa.array([math.inf, -math.inf, math.nan, 0.5]),
    "unused": pa.array([["x"], [], None, None]),
}


thresholds = st.lists(st.floats(-1e6, 1e6), max_size=254, unique=True).map(sorted)


@given(thresholds, st.lists(st.floats(), max_size=60))
def test_a_code_is_the_number_of_thresholds_below(cuts: list[float], values: list[float]) -> None:
    x = np.array(values + cuts)
    codes = encode_numeric(x, NumericBins(tuple(cuts)))
    seen = canonical(x).values
    expected = np.where(np.isnan(x), MISSING_CODE, np.searchsorted(cuts, seen))
    np.testing.assert_array_equal(codes, expected)


@pytest.mark.parametrize("size", [0, 1, 2, 127, 128, 129, 253, 254])
def test_every_number_of_thresholds_is_searched_right(size: int) -> None:
    bins = NumericBins(tuple(float(i) for i in range(size)))
    x = np.arange(-1.0, size + 1.0, 0.5)
    np.testing.assert_array_equal(encode_numeric(x, bins), np.searchsorted(bins.thresholds, x))
    assert encode_numeric(np.array([math.inf]), bins)[0] == size
    assert encode_numeric(np.array([-math.inf]), bins)[0] == 0


def test_a_tiny_number_is_coded_as_zero() -> None:
    bins = NumericBins((-1e-25, 1e-25))
    assert encode_numeric(np.array([1e-24, -1e-24, 0.0, 1.0]), bins).tolist() == [1, 1, 1, 2]


def test_categories_have_their_rank_and_all_others_none() -> None:
    names = ["b", "a", None, "rare", "c"]
    bins = CategoryBins(tuple(prefix_of(name, KEY) for name in "cab"))
    codes = encode_categorical(*category_hashes(names, KEY), bins)
    assert codes.tolist() == [2, 1, MISSING_CODE, MISSING_CODE, 0]
    assert codes.dtype == np.uint8


def test_a_missing_category_is_never_the_one_with_prefix_zero() -> None:
    codes = encode_categorical(np.zeros(2, np.uint32), np.array([True, False]), CategoryBins((0,)))
    assert codes.tolist() == [MISSING_CODE, 0]
    none = encode_categorical(np.zeros(2, np.uint32), np.zeros(2, np.bool_), CategoryBins(()))
    assert none.tolist() == [MISSING_CODE] * 2


def test_an_encoder_codes_a_table() -> None:
    m = MISSING_CODE
    codes = ENCODER.encode(COLUMNS, KEY)
    assert codes.tolist() == [[0, 1, 1], [1, 0, 0], [m, m, m], [2, m, 0]]
    assert codes.dtype == np.uint8
    assert codes.flags.c_contiguous


def test_lightgbm_sees_what_training_saw() -> None:
    np.testing.assert_array_equal(
        ENCODER.to_lightgbm(COLUMNS, KEY),
        [
            [17.0, 1.0, LARGEST],
            [18.0, 0.0, -LARGEST],
            [math.nan, math.nan, math.nan],
            [65.0, math.nan, 0.5],
        ],
    )


@given(st.lists(st.one_of(st.none(), st.floats(), st.just(0.5)), max_size=50))
def test_codes_can_be_read_off_the_lightgbm_rows(values: list[float | None]) -> None:
    columns: dict[str, Any] = {"x": pa.array(values, pa.float64())}
    encoder = Encoder((Feature("x"),), (NumericBins((-3.0, 0.5, 1e30 / 1e12)),))
    rows = encoder.to_lightgbm(columns, b"")[:, 0]
    np.testing.assert_array_equal(
        encoder.encode(columns, b"")[:, 0],
        encode_numeric(rows, encoder.bins[0]),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_and_blocks_do_not_change_a_code(threads: int) -> None:
    draw = np.random.default_rng(1)
    columns: dict[str, Any] = {"a": draw.normal(size=20_001), "b": draw.normal(size=20_001)}
    bins = NumericBins((-1.0, 0.0, 1.0))
    codes = Encoder((Feature("a"), Feature("b")), (bins, bins)).encode(
        columns, b"", threads=threads
    )
    for f, name in enumerate("ab"):
        np.testing.assert_array_equal(codes[:, f], np.searchsorted(bins.thresholds, columns[name]))


def test_no_rows_and_no_features_are_fine() -> None:
    empty = {name: values.slice(0, 0) for name, values in COLUMNS.items()}
    assert ENCODER.encode(empty, KEY).shape == (0, 3)
    assert ENCODER.to_lightgbm(empty, KEY).shape == (0, 3)
    assert Encoder((), ()).encode({}, b"").shape == (0, 0)


def test_a_missing_column_is_named() -> None:
    for method in (ENCODER.encode, ENCODER.to_lightgbm):
        with pytest.raises(DataError, match="'spend'"):
            method({"age": COLUMNS["age"], "city": COLUMNS["city"]}, KEY)


def test_columns_of_unequal_length_are_refused() -> None:
    for method in (ENCODER.encode, ENCODER.to_lightgbm):
        with pytest.raises(DataError, match="differ in length"):
            method({**COLUMNS, "age": COLUMNS["age"].slice(1)}, KEY)


def test_an_encoder_travels_as_text_without_key_or_names() -> None:
    text = ENCODER.to_json()
    assert Encoder.from_json(text) == ENCODER
    assert "Oslo" not in text
    assert KEY.decode() not in text


@given(thresholds)
def test_thresholds_survive_the_text_to_the_last_bit(cuts: list[float]) -> None:
    encoder = Encoder((Feature("größe"),), (NumericBins(tuple(map(float, cuts))),))
    assert Encoder.from_json(encoder.to_json()) == encoder
    assert Encoder.from_json(encoder.to_json()).to_json() == encoder.to_json()


def document(*features: object, version: object = 1) -> str:
    return json.dumps({"version": version, "features": features})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{}",
        "[" * 100_000,
        document(version=2),
        document("x"),
        document({"name": "x"}),
        document({"name": 5, "thresholds": []}),
        document({"name": "x", "thresholds": [], "prefixes": []}),
        document({"name": "x", "thresholds": 5}),
        document({"name": "x", "thresholds": ["1"]}),
        document({"name": "x", "thresholds": [True]}),
        document({"name": "x", "thresholds": [2, 1]}),
        document({"name": "x", "thresholds": [1, 1]}),
        document({"name": "x", "thresholds": [math.nan]}),
        document({"name": "x", "thresholds": [math.inf]}),
        document({"name": "x", "thresholds": [10**400]}),
        document({"name": "x", "thresholds": list(range(255))}),
        document({"name": "x", "prefixes": [1.0]}),
        document({"name": "x", "prefixes": [3, 3]}),
        document({"name": "x", "prefixes": [-1]}),
        document({"name": "x", "prefixes": [2**24]}),
        document({"name": "x", "prefixes": list(range(255))}),
        document({"name": "x", "thresholds": []}, {"name": "x", "thresholds": []}),
    ],
)
def test_a_malformed_encoder_is_refused(text: str) -> None:
    with pytest.raises(ModelFormatError, match="encoder is malformed"):
        Encoder.from_json(text)


def test_features_and_bins_must_fit() -> None:
    with pytest.raises(ModelFormatError, match="number"):
        Encoder((Feature("x"),), ())
    with pytest.raises(ModelFormatError, match="thresholds of 'x'"):
        Encoder((Feature("x", categorical=True),), (NumericBins(()),))
    with pytest.raises(ModelFormatError, match="categories of 'x'"):
        Encoder((Feature("x"),), (CategoryBins(()),))

"""The table and the short search find what a search among all thresholds finds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fed_audience.gbdt.bins import MISSING_CODE, NumericBins
from fed_audience.gbdt.bins.canonical import LARGEST, SMALLEST, canonical
from fed_audience.gbdt.bins.threshold_search import ThresholdSearch, write_codes

SPREAD = {
    "even": np.linspace(0.0, 1.0, 254),
    "skewed": np.exp(np.linspace(-30.0, 30.0, 254)),
    "both signs": np.sinh(np.linspace(-9.0, 9.0, 253)),
    "around zero": np.array([-SMALLEST, -SMALLEST / 2, 0.0, SMALLEST / 2, SMALLEST]),
    "zero below zero": np.array([-1.0, -0.0, 1.0]),
    "crowded": np.concatenate([[0.0], np.linspace(1.0, 1.0001, 252), [1e9]]),
    "neighbours": np.nextafter(1.0, 2.0) + np.arange(254) * 2.0**-52,
    "one": np.array([7.0]),
    "none": np.empty(0),
}


def check(thresholds: NDArray[np.float64], x: NDArray[np.float64]) -> None:
    out = np.empty(len(x), dtype=np.uint8)
    write_codes(x, ThresholdSearch.of(NumericBins(tuple(thresholds.tolist()))), out)
    seen = canonical(x).values
    expected = np.where(np.isnan(x), MISSING_CODE, np.searchsorted(thresholds, seen))
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("name", SPREAD)
def test_codes_are_those_of_a_full_search(name: str) -> None:
    thresholds = SPREAD[name]
    on_and_beside = [
        np.nextafter(thresholds, -np.inf),
        thresholds,
        np.nextafter(thresholds, np.inf),
    ]
    ends = [np.nan, np.inf, -np.inf, 0.0, -0.0, LARGEST, -LARGEST, SMALLEST, -SMALLEST]
    drawn = np.random.default_rng(0).normal(1.0, 1.0, 10_000)
    check(thresholds, np.concatenate([*on_and_beside, ends, drawn, -drawn * 1e12, drawn * 1e-12]))


def test_only_crowded_thresholds_take_the_long_search() -> None:
    short = {name: ThresholdSearch.of(NumericBins(tuple(t))).short for name, t in SPREAD.items()}
    assert [name for name, is_short in short.items() if not is_short] == ["crowded"]


@given(
    st.lists(st.floats(-(2.0**63), 2.0**63), max_size=254, unique=True).map(sorted),
    st.lists(st.floats(), max_size=40),
)
def test_any_thresholds_and_any_numbers(cuts: list[float], values: list[float]) -> None:
    check(np.array(cuts), np.array(values + cuts))

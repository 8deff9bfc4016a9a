"""Numbers become canonical, and their keys keep their order."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fed_audience.gbdt.bins.canonical import (
    LARGEST,
    MISSING_KEY,
    SMALLEST,
    canonical,
    keys,
    value_of,
)

anything = st.floats(width=64)


@pytest.mark.parametrize(
    ("given_value", "seen"),
    [
        (-0.0, 0.0),
        (2.0**-64, 2.0**-64),
        (math.nextafter(2.0**-64, 0.0), 0.0),
        (-1e-300, 0.0),
        (5e-324, 0.0),
        (2.0**64, LARGEST),
        (-(2.0**64), -LARGEST),
        (math.inf, LARGEST),
        (-math.inf, -LARGEST),
        (LARGEST, LARGEST),
        (0.1, 0.1),
    ],
)
def test_values_become_canonical(given_value: float, seen: float) -> None:
    value = float(canonical([given_value]).values[0])
    assert value == seen
    assert math.copysign(1.0, value) == math.copysign(1.0, seen)


def test_nan_stays_missing() -> None:
    assert math.isnan(canonical([math.nan]).values[0])
    assert keys([math.nan]).tolist() == [MISSING_KEY]


def test_clipped_values_are_counted() -> None:
    values = [math.inf, -math.inf, 2.0**64, -1e300, LARGEST, math.nan, 0.0]
    assert canonical(values).clipped == 4


@given(st.lists(anything, max_size=30))
def test_canonical_twice_is_canonical_once(values: list[float]) -> None:
    once = canonical(values).values
    np.testing.assert_array_equal(canonical(once).values, once)
    np.testing.assert_array_equal(keys(once), keys(values))


@given(st.floats(-LARGEST, LARGEST), st.floats(-LARGEST, LARGEST))
def test_keys_keep_the_order(x: float, y: float) -> None:
    a, b = canonical([x, y]).values.tolist()
    key_a, key_b = keys([x, y]).tolist()
    assert (a < b) == (key_a < key_b)
    assert (a == b) == (key_a == key_b)
    assert max(key_a, key_b) < MISSING_KEY


@given(st.floats(-LARGEST, LARGEST))
def test_a_key_gives_its_value_back(x: float) -> None:
    assert value_of(int(keys([x])[0])) == canonical([x]).values[0]


@given(st.floats(SMALLEST, LARGEST / 2))
def test_neighbouring_doubles_have_neighbouring_keys(x: float) -> None:
    low, high = keys([x, math.nextafter(x, math.inf)]).tolist()
    assert high == low + 1
    low, high = keys([-math.nextafter(x, math.inf), -x]).tolist()
    assert high == low + 1


def test_strided_and_integer_input_is_accepted() -> None:
    table = np.arange(12).reshape(4, 3)
    assert keys(table[:, 1]).tolist() == keys([1.0, 4.0, 7.0, 10.0]).tolist()

"""Columns become numbers, whatever they are stored in, whole and block by block."""

from __future__ import annotations

import datetime as dt
import math
import subprocess
import sys
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from fed_audience.errors import DataError
from fed_audience.gbdt.bins.arrow_columns import BLOCK_ROWS
from fed_audience.gbdt.bins.numbers import as_float64, number_blocks

UTC = dt.UTC


def column(*values: object, kind: Any = None) -> Any:
    return pa.array([*values, None], type=kind)


@pytest.mark.parametrize(
    ("values", "numbers"),
    [
        (column(1, -2, kind=pa.int8()), [1.0, -2.0]),
        (column(2**64 - 1, kind=pa.uint64()), [2.0**64]),
        (column(2**53 + 1), [2.0**53]),
        (column(1.5, math.inf), [1.5, math.inf]),
        (column(0.1, kind=pa.float32()), [float(np.float32(0.1))]),
        (column(Decimal("12.30"), Decimal("-0.10")), [12.3, -0.1]),
        (column(True, False), [1.0, 0.0]),
        (column(dt.date(1970, 1, 3)), [2.0]),
        (column(dt.date(1969, 12, 31), kind=pa.date64()), [-1.0]),
        (column(dt.datetime(1970, 1, 1, 0, 0, 1, 500_000, UTC)), [1.5]),
        (column(1_500, kind=pa.timestamp("ms")), [1.5]),
        (column(90, kind=pa.timestamp("s", "Europe/Oslo")), [90.0]),
        (column(dt.time(1, 0)), [3600.0]),
        (column(dt.time(0, 1), kind=pa.time32("ms")), [60.0]),
        (column(dt.timedelta(seconds=-2, microseconds=500_000)), [-1.5]),
        (column(3, 3, 4).dictionary_encode(), [3.0, 3.0, 4.0]),
    ],
    ids=lambda values: str(getattr(values, "type", "")),
)
def test_columns_become_numbers_and_null_becomes_nan(values: Any, numbers: list[float]) -> None:
    got = as_float64(values)
    assert got.dtype == np.float64
    np.testing.assert_array_equal(got, [*numbers, math.nan])
    np.testing.assert_array_equal(
        as_float64(pa.chunked_array([values, values])), [*numbers, math.nan] * 2
    )


def test_numpy_and_lists_are_columns_too() -> None:
    assert as_float64(np.array([1, 2], dtype=np.uint8)).tolist() == [1.0, 2.0]
    assert as_float64(np.array([True])).tolist() == [1.0]
    np.testing.assert_array_equal(as_float64([1, None]), [1.0, math.nan])
    np.testing.assert_array_equal(as_float64(pa.nulls(2)), [math.nan] * 2)
    np.testing.assert_array_equal(
        as_float64(np.array(["1970-01-02", "NaT"], dtype="datetime64[s]")), [86400.0, math.nan]
    )
    assert as_float64(pa.chunked_array([], type=pa.int32())).shape == (0,)


@pytest.mark.parametrize("values", [["a"], [b"a"], [[1]], [{"a": 1}]])
def test_what_is_not_a_number_is_refused(values: Any) -> None:
    with pytest.raises(DataError, match="not numbers"):
        as_float64(pa.array(values))


def test_blocks_are_the_whole_column_in_order() -> None:
    first: Any = pa.array(np.arange(BLOCK_ROWS + 7)).slice(3)
    second: Any = pa.array([None, 1, 2], pa.int64())
    chunked = pa.chunked_array([first, second.slice(0, 0), second.slice(0, 2)])
    blocks = list(number_blocks(chunked))
    assert [len(block) for block in blocks] == [BLOCK_ROWS, 4, 2]
    np.testing.assert_array_equal(np.concatenate(blocks), as_float64(chunked))
    assert list(number_blocks(chunked.slice(0, 0))) == []


def test_a_column_without_rows_is_refused_for_its_type_too() -> None:
    with pytest.raises(DataError, match="not numbers"):
        list(number_blocks(pa.array([], pa.string())))


def test_numbers_of_an_arrow_column_are_not_copied() -> None:
    values = np.arange(10.0)
    assert np.shares_memory(as_float64(pa.array(values)), values)
    (block,) = number_blocks(pa.array(values).slice(4))
    assert np.shares_memory(block, values)
    assert block.tolist() == [4.0, 5.0, 6.0, 7.0, 8.0, 9.0]


def test_nulls_are_found_wherever_a_slice_begins() -> None:
    values = [None if i % 3 == 0 else float(i) for i in range(40)]
    whole: Any = pa.array(values, pa.float64())
    expected = np.array(values, dtype=np.float64)
    for start in range(20):
        np.testing.assert_array_equal(
            as_float64(whole.slice(start, 9)), expected[start : start + 9]
        )


def test_reading_columns_does_not_import_pandas() -> None:
    """It costs a site a fifth of a second; Arrow asks for it where it can."""
    program = """
import sys
import pyarrow as pa
from fed_audience.gbdt.bins.categories import categories_of
from fed_audience.gbdt.bins.numbers import as_float64
numbers = pa.Array.from_buffers(pa.int64(), 1, [pa.py_buffer(b"\\0"), pa.py_buffer(bytes(8))])
as_float64(numbers)
categories_of(numbers, b"key")
assert "pandas" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)

"""Columns as numbers: what the learner reads from Arrow and NumPy, whole or block by block."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from fed_audience.errors import DataError
from fed_audience.gbdt.bins.arrow_columns import arrow_of, blocks, values_of
from fed_audience.gbdt.bins.canonical import read_only

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from fed_audience.gbdt.bins.arrow_columns import Column

    Floats = NDArray[np.float64]

_PER_SECOND: Final = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}


def as_float64(column: Column) -> Floats:
    """Numbers of a column: float64[n], read-only, null as NaN.

    Integers, floats and decimals are themselves (beyond 2^53 rounded); booleans 0 and 1; dates
    days since 1970-01-01; timestamps seconds since then, in UTC, with fraction; times of day and
    durations seconds. Raises DataError for text and everything else.
    """
    if isinstance(column, np.ndarray) and column.dtype.kind in "fiub":
        return read_only(column)
    return _numbers(arrow_of(column))


def number_blocks(column: pa.Array[Any] | pa.ChunkedArray[Any]) -> Iterator[Floats]:
    """Yield ``as_float64`` of the column's blocks in order; the whole is never converted at once.

    Raises DataError as ``as_float64`` does, for a column without rows too.
    """
    _numbers(arrow_of(column[:0]))
    yield from map(_numbers, blocks(column))


def _numbers(array: Any) -> Floats:
    if pa.types.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    kind = array.type
    per_unit = 1.0
    if pa.types.is_date(kind):
        array = array.cast(pa.date32(), safe=False).cast(pa.int32())
    elif pa.types.is_timestamp(kind) or pa.types.is_duration(kind) or pa.types.is_time64(kind):
        per_unit = _PER_SECOND[kind.unit]
        array = array.cast(pa.int64())
    elif pa.types.is_time32(kind):
        per_unit = _PER_SECOND[kind.unit]
        array = array.cast(pa.int32())
    elif pa.types.is_boolean(kind):
        array = array.cast(pa.uint8())
    elif not (
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_null(kind)
    ):
        raise DataError(
            "a numeric feature holds values that are not numbers",
            value=kind,
            limit="numbers, booleans, dates, times",
            fix="cast the column to a number, or declare the feature as categorical",
        )
    if array.type != pa.float64():  # Arrow would copy what is cast to its own type
        array = array.cast(pa.float64(), safe=False)
    values = values_of(array, np.float64, null=np.nan)
    return read_only(values if per_unit == 1.0 else values / per_unit)

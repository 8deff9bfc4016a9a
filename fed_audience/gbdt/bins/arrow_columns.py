"""Columns as Arrow holds them, read a block at a time and without a copy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from fed_audience.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    Column = pa.Array[Any] | pa.ChunkedArray[Any] | NDArray[Any] | Sequence[object]

BLOCK_ROWS: Final = 1 << 15
"""Most rows of a block: as 8-byte numbers they stay in the second-level cache."""


def arrow_of(column: Column) -> Any:
    """Return the column as an Arrow array, chunks joined. Raises DataError for mixed types."""
    try:
        array: Any = column if isinstance(column, pa.Array | pa.ChunkedArray) else pa.array(column)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise DataError(
            "a feature's column mixes values of different types",
            fix="cast the column to one type in the feature model",
        ) from error
    if isinstance(array, pa.ChunkedArray):
        return array.unify_dictionaries().combine_chunks()
    return array


def blocks(column: pa.Array[Any] | pa.ChunkedArray[Any]) -> Iterator[Any]:
    """Yield the column's rows in order, as arrays of at most BLOCK_ROWS rows, none empty."""
    for chunk in column.chunks if isinstance(column, pa.ChunkedArray) else [column]:
        for start in range(0, len(chunk), BLOCK_ROWS):
            yield chunk.slice(start, BLOCK_ROWS)


def values_of(array: Any, dtype: Any, null: float) -> NDArray[Any]:
    """Read a flat array as NumPy's ``dtype``, a view unless there are nulls; they become ``null``.

    Arrow's own ``to_numpy`` and ``fill_null`` would import pandas.
    """
    if not len(array):
        return np.empty(0, dtype=dtype)
    validity, data = array.buffers()
    first, rows = array.offset, len(array)
    values = np.frombuffer(data, dtype, rows, first * np.dtype(dtype).itemsize)
    if not array.null_count:
        return values
    bits = np.frombuffer(validity, np.uint8)[first // 8 : -(-(first + rows) // 8)]
    valid = np.unpackbits(bits, bitorder="little")[first % 8 :][:rows]
    return np.where(valid, values, np.asarray(null, dtype=dtype))

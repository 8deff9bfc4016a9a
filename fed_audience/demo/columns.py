"""Arrow columns from NumPy arrays: identifiers, instants, words, money.

Instants are int64 microseconds since 1970 in UTC, ``NEVER`` where there is none.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fed_audience.demo.settings import AS_OF, START

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Column = pa.Array[Any]

SECOND: Final = 1_000_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
NEVER: Final = np.iinfo(np.int64).min


def microseconds(moment: datetime) -> int:
    """Return a naive UTC moment as microseconds since 1970."""
    return (moment - datetime(1970, 1, 1)) // datetime.resolution  # noqa: DTZ001 - naive UTC


AS_OF_US: Final = microseconds(AS_OF)
START_US: Final = microseconds(START)


def column(values: NDArray[Any], missing: NDArray[np.bool_] | None = None) -> Column:
    """Return ``values`` as an Arrow array, null where ``missing``."""
    mask = missing if missing is not None and missing.any() else None
    return pa.array(values, mask=mask)  # type: ignore[call-overload, no-any-return, unused-ignore]


def instants(moments: NDArray[np.int64]) -> Column:
    """Return microseconds as timestamps without zone, null where ``NEVER``."""
    return column(moments, moments == NEVER).cast(pa.timestamp("us"))


def joined(*parts: str | Column) -> Column:
    """Return the parts of each row put together; a plain string repeats in every row."""
    text: Column = pc.binary_join_element_wise(*parts, "")  # type: ignore[call-overload]
    return text


def identifiers(prefix: str, numbers: NDArray[np.int64], *, width: int = 8) -> Column:
    """Return ``prefix`` and each number with leading zeros, as in 'o00000042'."""
    return joined(prefix, pc.utf8_lpad(column(numbers).cast(pa.string()), width, "0"))


def picked(values: Column, rows: NDArray[np.int64]) -> Column:
    """Return ``values[rows]``, null where a row is negative; no string is copied."""
    indices = column(rows.astype(np.int32), rows < 0)
    return pa.DictionaryArray.from_arrays(indices, values)


def words(codes: NDArray[np.int64], vocabulary: Sequence[str]) -> Column:
    """Return the word of each code, null where the code is negative."""
    return picked(pa.array(vocabulary, pa.string()), codes)


def money(amounts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Round to cents, so that the last bit of a logarithm never shows in the data."""
    return np.round(amounts, 2)


def table(
    columns: Mapping[str, Column | NDArray[Any]],
    *,
    loaded: NDArray[np.int64],
    source: str,
    key: tuple[str, str] | None = None,
) -> pa.Table:
    """Return a raw table in the order of arrival, without rows that arrive after the as-of.

    Every raw table carries ``_loaded_at`` (when the row reached the warehouse) and
    ``_source_system``. ``key`` names a leading id column and the prefix of its numbers.
    """
    order = np.argsort(loaded, kind="stable")
    order = order[: np.searchsorted(loaded[order], AS_OF_US, side="left")]
    arrived: dict[str, Column] = {}
    if key is not None:
        arrived[key[0]] = identifiers(key[1], np.arange(1, order.size + 1))
    for name, values in columns.items():
        whole = column(values) if isinstance(values, np.ndarray) else values
        arrived[name] = whole.take(column(order))
    arrived["_loaded_at"] = instants(loaded[order])
    arrived["_source_system"] = words(np.zeros(order.size, dtype=np.int64), [source])
    return pa.table(arrived)

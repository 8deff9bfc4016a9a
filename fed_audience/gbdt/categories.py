"""Categories as keyed hashes: sites agree on the common ones without saying any name.

A category is its text in Unicode form NFC, hashed with HMAC-SHA256 under a key that the sites
share and the coordinator lacks; the first 24 bits, the *prefix*, stand for it. Counts of 2^16
buckets (the first 16 bits) are summed over sites; buckets with enough rows are counted again by
all 24 bits; prefixes with enough rows get codes.
"""

from __future__ import annotations

import datetime as dt
import hmac
import unicodedata
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from fed_audience.errors import DataError
from fed_audience.gbdt.bins import CategoryBins

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Counts = NDArray[np.int64]
    Prefixes = NDArray[np.uint32]
    Column = pa.Array[Any] | pa.ChunkedArray[Any] | NDArray[Any] | Sequence[object]

BUCKETS: Final = 1 << 16
REFINED: Final = 1 << 8
"""Prefixes in a bucket."""

FLOOR: Final = 20
"""Fewest rows, over all sites, for a category to be told apart."""


def category_hashes(values: Column, key: bytes) -> tuple[Prefixes, NDArray[np.bool_]]:
    """Hash each value: uint32[n] prefixes of 24 bits, and bool[n] which values are missing.

    Null and NaN are missing (their prefix is 0 and means nothing). Each distinct value is hashed
    once. Raises DataError for an empty key or a type that cannot be a category.
    """
    if not key:
        raise DataError(
            "the key for hashing categories is empty",
            fix="give every site the federation's category key",
        )
    codes, distinct = _distinct(values)
    table = np.zeros(len(distinct) + 1, dtype=np.uint32)
    absent = np.zeros(len(distinct) + 1, dtype=np.bool_)
    absent[-1] = True
    for i, value in enumerate(distinct):
        text = category_text(value)
        if text is None:
            absent[i] = True
        else:
            table[i] = prefix_of(text, key)
    return table[codes], absent[codes]


def prefix_of(text: str, key: bytes) -> int:
    """First 24 bits of HMAC-SHA256 (RFC 2104) of the text in NFC and UTF-8."""
    message = unicodedata.normalize("NFC", text).encode("utf-8", "surrogatepass")
    return int.from_bytes(hmac.digest(key, message, "sha256")[:3], "big")


def category_text(value: object) -> str | None:
    """Text that stands for a value whatever type a warehouse keeps it in; None when missing.

    True is ``true``; 5, 5.0 and Decimal("5.00") are ``5``; other numbers are the shortest
    decimal that reads back; dates and times are ISO 8601; text stays as it is.
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return _float_text(value)
    if isinstance(value, Decimal):
        return _decimal_text(value)
    if isinstance(value, dt.date | dt.time):  # a datetime is a date
        return value.isoformat()
    raise _not_a_category(type(value).__name__)


def bucket_counts(prefixes: Prefixes, missing: NDArray[np.bool_]) -> Counts:
    """Rows of each bucket: int64[65536]. Sums over sites."""
    buckets = prefixes[~missing] >> np.uint32(8)
    return np.bincount(buckets, minlength=BUCKETS).astype(np.int64, copy=False)


def survivors(counts: Counts, floor: int = FLOOR) -> NDArray[np.uint32]:
    """Buckets with at least ``floor`` rows over all sites, ascending."""
    _check(counts, BUCKETS)
    return np.flatnonzero(counts >= floor).astype(np.uint32)


def refined_counts(
    prefixes: Prefixes, missing: NDArray[np.bool_], survivors: NDArray[np.uint32]
) -> Counts:
    """Rows of each prefix of the surviving buckets: int64[len(survivors) * 256]."""
    position = np.full(BUCKETS, -1, dtype=np.int64)
    position[survivors] = np.arange(len(survivors))
    kept = prefixes[~missing]
    bucket = position[kept >> np.uint32(8)]
    inside = bucket >= 0
    cells = bucket[inside] * REFINED + (kept[inside] & np.uint32(REFINED - 1))
    size = len(survivors) * REFINED
    return np.bincount(cells, minlength=size).astype(np.int64, copy=False)


def category_bins(
    survivors: NDArray[np.uint32], refined: Counts, *, max_bin: int, floor: int = FLOOR
) -> CategoryBins:
    """Give codes to the most frequent categories: at most ``max_bin`` - 2 of them.

    ``refined``: int64[len(survivors) * 256] summed over sites. Prefixes below ``floor`` rows
    get none. Order: count descending, then prefix ascending.
    """
    _check(refined, len(survivors) * REFINED)
    cells = np.flatnonzero(refined >= floor)
    prefixes = survivors[cells // REFINED].astype(np.int64) * REFINED + cells % REFINED
    order = np.lexsort((prefixes, -refined[cells]))
    return CategoryBins(tuple(prefixes[order][: max(0, max_bin - 2)].tolist()))


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


def _distinct(column: Column) -> tuple[NDArray[np.int64], list[object]]:
    """Position of each row's value among the distinct values, -1 for null, and those values."""
    array = arrow_of(column)
    if not pa.types.is_dictionary(array.type):
        if pa.types.is_nested(array.type):
            raise _not_a_category(array.type)
        array = array.dictionary_encode()
    codes = array.indices.cast(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False)
    return codes, array.dictionary.to_pylist()


def _not_a_category(kind: object) -> DataError:
    return DataError(
        "a categorical feature holds values that are not categories",
        value=kind,
        limit="text, booleans, numbers, dates or times",
        fix="cast the column to text in the feature model",
    )


def _float_text(value: float) -> str | None:
    if value != value:  # noqa: PLR0124 - NaN, the one value unequal to itself
        return None
    return str(int(value)) if value.is_integer() else repr(value)


def _decimal_text(value: Decimal) -> str | None:
    if value.is_nan():
        return None
    if value.is_finite() and value == value.to_integral_value():
        return str(int(value))
    return format(value.normalize(), "f")


def _check(counts: Counts, size: int) -> None:
    if counts.shape != (size,) or (size and counts.min() < 0):
        raise DataError(
            "the counts of a categorical feature have the wrong size or are negative",
            value=counts.shape,
            limit=f"({size},), none negative",
            fix="count with the survivors of the same round",
        )

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
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from fed_audience.errors import DataError
from fed_audience.gbdt.bins.arrow_columns import arrow_of, blocks, values_of
from fed_audience.gbdt.bins.feature_bins import CategoryBins

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fed_audience.gbdt.bins.arrow_columns import Column

    Counts = NDArray[np.int64]
    Prefixes = NDArray[np.uint32]

BUCKETS: Final = 1 << 16
REFINED: Final = 1 << 8
"""Prefixes in a bucket."""

FLOOR: Final = 20
"""Fewest rows, over all sites, for a category to be told apart."""


@dataclass(frozen=True, slots=True)
class Categories:
    """A column by its distinct values: row i holds value number ``positions[i]``.

    ``prefixes``: uint32[d] and ``missing``: bool[d] of the d distinct values, the last of which
    stands for null (its prefix is 0 and means nothing). ``positions``: the narrowest unsigned
    type that counts them, [n].
    """

    positions: NDArray[Any]
    prefixes: Prefixes
    missing: NDArray[np.bool_]


def categories_of(values: Column, key: bytes) -> Categories:
    """Hash each distinct value of a column once, under the sites' ``key``.

    Null and NaN are missing. Raises DataError for an empty key or a type that cannot be a
    category.
    """
    if not key:
        raise DataError(
            "the key for hashing categories is empty",
            fix="give every site the federation's category key",
        )
    positions, distinct = _distinct(values)
    prefixes = np.zeros(len(distinct) + 1, dtype=np.uint32)
    missing = np.zeros(len(distinct) + 1, dtype=np.bool_)
    missing[-1] = True
    for i, value in enumerate(distinct):
        text = category_text(value)
        if text is None:
            missing[i] = True
        else:
            prefixes[i] = prefix_of(text, key)
    return Categories(positions, prefixes, missing)


def category_hashes(values: Column, key: bytes) -> tuple[Prefixes, NDArray[np.bool_]]:
    """Hash each value: uint32[n] prefixes of 24 bits, and bool[n] which values are missing.

    Raises DataError as ``categories_of`` does.
    """
    found = categories_of(values, key)
    return found.prefixes[found.positions], found.missing[found.positions]


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


def bucket_counts(
    prefixes: Prefixes, missing: NDArray[np.bool_], rows: Counts | None = None
) -> Counts:
    """Rows of each bucket: int64[65536]. Sums over sites.

    ``rows``: how many rows each prefix stands for, int64[n]; one when not given.
    """
    return _tally(prefixes[~missing] >> np.uint32(8), _present(rows, missing), BUCKETS)


def survivors(counts: Counts, floor: int = FLOOR) -> NDArray[np.uint32]:
    """Buckets with at least ``floor`` rows over all sites, ascending."""
    _check(counts, BUCKETS)
    return np.flatnonzero(counts >= floor).astype(np.uint32)


def refined_counts(
    prefixes: Prefixes,
    missing: NDArray[np.bool_],
    survivors: NDArray[np.uint32],
    rows: Counts | None = None,
) -> Counts:
    """Rows of each prefix of the surviving buckets: int64[len(survivors) * 256].

    ``rows`` as of ``bucket_counts``.
    """
    position = np.full(BUCKETS, -1, dtype=np.int64)
    position[survivors] = np.arange(len(survivors))
    kept = prefixes[~missing]
    bucket = position[kept >> np.uint32(8)]
    inside = bucket >= 0
    cells = bucket[inside] * REFINED + (kept[inside] & np.uint32(REFINED - 1))
    weights = _present(rows, missing)
    return _tally(cells, None if weights is None else weights[inside], len(survivors) * REFINED)


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


def _distinct(column: Column) -> tuple[NDArray[Any], list[object]]:
    """Position of each row's value among the distinct values, their number for null; and those."""
    chunked: Any = column
    if not isinstance(column, pa.ChunkedArray):
        chunked = pa.chunked_array([arrow_of(column)])
    if not pa.types.is_dictionary(chunked.type):
        if pa.types.is_nested(chunked.type):
            raise _not_a_category(chunked.type)
        chunked = chunked.dictionary_encode()
    chunked = chunked.unify_dictionaries()
    distinct = chunked.chunk(0).dictionary.to_pylist() if chunked.num_chunks else []
    positions = np.empty(len(chunked), dtype=np.min_scalar_type(len(distinct)))
    start = 0
    for block in blocks(chunked):
        indices = block.indices.cast(pa.int64())
        positions[start : start + len(block)] = values_of(indices, np.int64, null=len(distinct))
        start += len(block)
    return positions, distinct


def _present(rows: Counts | None, missing: NDArray[np.bool_]) -> Counts | None:
    return None if rows is None else rows[~missing]


def _tally(cells: NDArray[Any], rows: Counts | None, size: int) -> Counts:
    """Rows in each of ``size`` cells; floats add them exactly, for no site has 2^53."""
    return np.bincount(cells, weights=rows, minlength=size).astype(np.int64, copy=False)


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

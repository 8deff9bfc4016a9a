"""Decides for one column whether it holds numbers, dates or categories.

Spaces around values are dropped and the usual signs for 'missing' become null. A column is
numeric when every value that is present is a number, also with a decimal comma where that is
clear; dates become days since 1970-01-01; everything else is a category.
"""

from __future__ import annotations

import re
from typing import Any, Final, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

Column: TypeAlias = "pa.ChunkedArray[Any]"
_Array: TypeAlias = Any  # the stubs of pyarrow.compute tell arrays from chunked arrays; it does not

MISSING: Final = ("", "?", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "null", "NULL", "Null", r"\N")
"""Missing wherever it stands."""

MISSING_AMONG_NUMBERS: Final = ("-", ".", "None", "none", "unknown", "missing")
"""Words that can be a category, and mean 'missing' only where all else is a number."""

_DECIMAL_COMMA: Final = r"^[+-]?[0-9]+(\.[0-9]{3})*(,[0-9]+)?$"
_SURELY_DECIMAL: Final = r",([0-9]{1,2}|[0-9]{4,})$"
_THOUSANDS: Final = r"^[+-]?[0-9]{1,3}(,[0-9]{3})+(\.[0-9]+)?$|^[+-]?[0-9]+(\.[0-9]+)?$"
_DATE: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([ T][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?)?Z?$"
_NUMBER: Final = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|[+-]?inf(inity)?")
_DAY_MICROSECONDS: Final = 86_400_000_000


def as_text(column: Column) -> Column:
    """Values as text, whole numbers without '.0'; for labels, sites and groups."""
    if not pa.types.is_floating(column.type):
        return column
    values: _Array = pc.unique(column)
    words = [
        None if v is None else str(int(v)) if v == v // 1 else repr(v) for v in values.to_pylist()
    ]
    known: _Array = pa.array(words, pa.string())
    text: Column = pc.take(known, pc.index_in(column, value_set=values))
    return text


def is_missing(text: str) -> bool:
    """Whether ``text`` is one of the usual signs for a missing value."""
    return text.strip() in MISSING


def is_number(text: str) -> bool:
    """Whether ``text`` reads as a number."""
    return bool(_NUMBER.fullmatch(text.strip()))


def typed(name: str, column: Column, *, separator: str = ",") -> tuple[Column, str | None]:
    """Return ``column`` as float64 or string with nulls for missing, and a note if it surprises.

    ``separator`` of the file settles '1,234' where nothing else does: in a file separated by
    semicolons the comma is a decimal comma. A column of another type (lists, binary) is a
    category of nulls and said so.
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
        column = column.cast(kind)
    if pa.types.is_boolean(kind):
        return column.cast(pa.int8()).cast(pa.float64()), None
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return _without_nan(column.cast(pa.float64(), safe=False)), None
    if pa.types.is_temporal(kind) and not (pa.types.is_time(kind) or pa.types.is_duration(kind)):
        return _days(column), f"column {name!r} is a date: read as days since 1970-01-01"
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind)):
        nothing = pa.chunked_array([pa.nulls(len(column), pa.string())])
        return nothing, f"column {name!r} is of type {kind}, which cannot be used: left out"
    return _typed_text(name, column.cast(pa.string()), separator)


def _typed_text(name: str, column: Column, separator: str) -> tuple[Column, str | None]:
    text = _null_where(pc.utf8_trim_whitespace(column), MISSING)
    if (numbers := _numbers(text)) is not None:
        return numbers, None
    values: _Array = pc.unique(text).drop_null()
    without = _null_where(values, MISSING_AMONG_NUMBERS).drop_null()
    if len(without) and len(without) < len(values) and _numbers(without) is not None:
        found = _numbers(_null_where(text, MISSING_AMONG_NUMBERS))
        words = sorted({*values.to_pylist()} & {*MISSING_AMONG_NUMBERS})
        if found is not None:
            return found, f"column {name!r} holds numbers; {words} read as missing"
    if _all(values, _DECIMAL_COMMA) and (
        separator == ";" or pc.any(pc.match_substring_regex(values, _SURELY_DECIMAL)).as_py()
    ):
        plain = pc.replace_substring(pc.replace_substring(text, ".", ""), ",", ".")
        if (numbers := _numbers(plain)) is not None:
            return numbers, f"column {name!r} has decimal commas"
    plain = pc.replace_substring(text, ",", "")
    if _all(values, _THOUSANDS) and (numbers := _numbers(plain)) is not None:
        return numbers, f"column {name!r} has thousands separators"
    if _all(values, _DATE) and (dates := _dates(text)) is not None:
        return dates, f"column {name!r} is a date: read as days since 1970-01-01"
    return text, None


def _all(values: _Array, pattern: str) -> bool:
    return bool(pc.all(pc.match_substring_regex(values, pattern)).as_py())


def _null_where(text: _Array, words: tuple[str, ...]) -> _Array:
    missing = pc.is_in(text, value_set=pa.array(words, pa.string()))
    return pc.if_else(missing, pa.scalar(None, pa.string()), text)


def _numbers(text: _Array) -> Column | None:
    """All values as float64, or None when one of them is no number."""
    plain = pc.if_else(pc.starts_with(text, "+"), pc.utf8_slice_codeunits(text, 1), text)
    try:
        return _without_nan(pc.cast(plain, pa.float64()))
    except pa.ArrowInvalid:
        return None


def _without_nan(numbers: _Array) -> Column:
    present: Column = pc.if_else(pc.is_nan(numbers), pa.scalar(None, pa.float64()), numbers)
    return present


def _days(column: Column) -> Column:
    stamps = column.cast(pa.timestamp("us"), safe=False).cast(pa.int64())
    return pc.divide(stamps.cast(pa.float64()), float(_DAY_MICROSECONDS))


def _dates(text: _Array) -> Column | None:
    try:
        return _days(pc.cast(pc.utf8_rtrim(text, "Z"), pa.timestamp("us")))
    except pa.ArrowInvalid:
        return None

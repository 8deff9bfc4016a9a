"""Columns to codes: what a site does with its rows once the bins are agreed."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
from numba import njit

from fed_audience.errors import DataError, ModelFormatError
from fed_audience.gbdt.bins import (
    MAX_BINS,
    MISSING_CODE,
    CategoryBins,
    Feature,
    FeatureBins,
    NumericBins,
)
from fed_audience.gbdt.canonical import LARGEST, canonical, canonical_value, read_only
from fed_audience.gbdt.categories import arrow_of, category_hashes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from fed_audience.gbdt.categories import Column

    Codes = NDArray[np.uint8]
    Floats = NDArray[np.float64]

_BLOCK: Final = 1 << 13  # rows of all features together stay in the second-level cache
_PREFIXES: Final = 1 << 24
_SEARCHED: Final = 255
_STEPS: Final = (128, 64, 32, 16, 8, 4, 2, 1)
_VERSION: Final = 1
_PER_SECOND: Final = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}


def as_float64(column: Column) -> Floats:
    """Numbers of a column: float64[n], read-only, null as NaN.

    Integers, floats and decimals are themselves (beyond 2^53 rounded); booleans 0 and 1; dates
    days since 1970-01-01; timestamps seconds since then, in UTC, with fraction; times of day and
    durations seconds. Raises DataError for text and everything else.
    """
    if isinstance(column, np.ndarray) and column.dtype.kind in "fiub":
        return read_only(column)
    array = arrow_of(column)
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
    numbers = array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return read_only(numbers if per_unit == 1.0 else numbers / per_unit)


def encode_numeric(x: Floats, bins: NumericBins) -> Codes:
    """Code of each number: uint8[n], the number of thresholds below it; MISSING_CODE for NaN."""
    values = read_only(x)
    out = np.empty(values.shape, dtype=np.uint8)
    _encode(values, _padded(bins), out)
    return out


def encode_categorical(
    prefixes: NDArray[np.uint32], missing: NDArray[np.bool_], bins: CategoryBins
) -> Codes:
    """Code of each category: uint8[n]; MISSING_CODE for missing, rare and unseen ones."""
    known = np.asarray(bins.prefixes, dtype=np.uint32)
    rank = np.argsort(known)
    ascending = np.full(_SEARCHED, 2**32 - 1, dtype=np.uint32)
    ascending[: known.size] = known[rank]
    code_of = np.full(_SEARCHED, MISSING_CODE, dtype=np.uint8)
    code_of[: known.size] = rank
    out = np.empty(prefixes.shape, dtype=np.uint8)
    _encode_prefixes(prefixes, missing, ascending, code_of, out)
    return out


@dataclass(frozen=True, slots=True)
class Encoder:
    """The features of a model and their agreed bins; holds no key and no category's name.

    Raises ModelFormatError when features and bins do not fit each other or a bin is malformed.
    """

    features: tuple[Feature, ...]
    bins: tuple[FeatureBins, ...]

    def __post_init__(self) -> None:
        names = [feature.name for feature in self.features]
        if len(set(names)) != len(names):
            raise _malformed("two features have one name")
        if len(self.bins) != len(self.features):
            raise _malformed("features and bins differ in number")
        for feature, bins in zip(self.features, self.bins, strict=True):
            _check_bins(feature, bins)

    def encode(
        self, columns: Mapping[str, Column], key: bytes, *, threads: int | None = None
    ) -> Codes:
        """Codes of all rows: uint8[n, F], rows contiguous.

        ``columns``: one a feature, of equal length; others are ignored. ``key``: the sites'
        category key, needed when a feature is categorical. ``threads``: default one a core.
        Raises DataError for a missing column, unequal lengths or an unusable type.
        """
        numeric = [f for f, feature in enumerate(self.features) if not feature.categorical]
        values = [as_float64(self._column(columns, f)) for f in numeric]
        hashed = {
            f: encode_categorical(*category_hashes(self._column(columns, f), key), bins)
            for f, bins in enumerate(self.bins)
            if isinstance(bins, CategoryBins)
        }
        rows = _rows([*values, *hashed.values()])
        out = np.empty((rows, len(self.features)), dtype=np.uint8)
        for f, codes in hashed.items():
            out[:, f] = codes
        padded = [_padded(bins) for bins in self.bins if isinstance(bins, NumericBins)]

        def encode_block(start: int) -> None:
            block = out[start : start + _BLOCK]
            for f, column, thresholds in zip(numeric, values, padded, strict=True):
                _encode(column[start : start + _BLOCK], thresholds, block[:, f])

        with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
            for _ in pool.map(encode_block, range(0, rows, _BLOCK)):
                pass
        return out

    def to_lightgbm(self, columns: Mapping[str, Column], key: bytes) -> Floats:
        """Rows as a LightGBM booster of this model takes them: float64[n, F].

        Numbers are canonical (clipped as in training), a category is its code, and NaN stands
        for missing, rare and unseen. Raises DataError as ``encode`` does.
        """
        ready: list[Floats] = []
        for f, bins in enumerate(self.bins):
            column = self._column(columns, f)
            if isinstance(bins, NumericBins):
                ready.append(canonical(as_float64(column)).values)
            else:
                codes = encode_categorical(*category_hashes(column, key), bins)
                ready.append(np.where(codes == MISSING_CODE, np.nan, codes))
        rows = _rows(ready)
        out = np.empty((rows, len(self.features)), dtype=np.float64)
        for start in range(0, rows, _BLOCK):
            for f, numbers in enumerate(ready):
                out[start : start + _BLOCK, f] = numbers[start : start + _BLOCK]
        return out

    def to_json(self) -> str:
        """Canonical JSON; equal encoders give equal text, doubles as their shortest decimals."""
        features = [
            {"name": feature.name, "thresholds": list(bins.thresholds)}
            if isinstance(bins, NumericBins)
            else {"name": feature.name, "prefixes": list(bins.prefixes)}
            for feature, bins in zip(self.features, self.bins, strict=True)
        ]
        document = {"version": _VERSION, "features": features}
        return json.dumps(document, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Encoder:
        """Read what ``to_json`` wrote. Raises ModelFormatError for anything else."""
        try:
            document = json.loads(text)
            if not isinstance(document, dict) or document.keys() != {"version", "features"}:
                raise _malformed("the outer keys are not 'version' and 'features'")
            if document["version"] != _VERSION:
                raise _malformed(f"version {document['version']!r} is not {_VERSION}")
            pairs = [_feature_of(entry) for entry in document["features"]]
        except (ValueError, TypeError, OverflowError, RecursionError) as error:
            raise _malformed(str(error)) from error
        return cls(tuple(feature for feature, _ in pairs), tuple(bins for _, bins in pairs))

    def _column(self, columns: Mapping[str, Column], f: int) -> Column:
        name = self.features[f].name
        if name not in columns:
            raise DataError(
                f"the column {name!r} of a feature is missing",
                looked=f"the columns {', '.join(sorted(columns)[:20])}",
                fix=f"add {name} to the feature model, as null where the brand lacks it",
            )
        return columns[name]


def _padded(bins: NumericBins) -> Floats:
    padded = np.full(_SEARCHED, np.inf)
    padded[: len(bins.thresholds)] = bins.thresholds
    return padded


@njit(cache=True, nogil=True)
def _count_below(ascending: NDArray[Any], value: float) -> np.int64:
    """Binary search without branches in exactly _SEARCHED ascending values."""
    below = np.int64(0)
    for step in _STEPS:
        below += step if ascending[below + step - 1] < value else 0
    return below


@njit(cache=True, nogil=True)
def _encode(x: Floats, thresholds: Floats, out: Codes) -> None:
    for i in range(x.size):
        value = canonical_value(x[i])
        below = _count_below(thresholds, value)
        out[i] = below if value == value else MISSING_CODE  # noqa: PLR0124 - NaN differs from itself


@njit(cache=True, nogil=True)
def _encode_prefixes(
    prefixes: NDArray[np.uint32],
    missing: NDArray[np.bool_],
    ascending: NDArray[np.uint32],
    code_of: Codes,
    out: Codes,
) -> None:
    for i in range(prefixes.size):
        below = _count_below(ascending, prefixes[i])
        known = below < ascending.size and ascending[below] == prefixes[i]
        out[i] = code_of[below] if known and not missing[i] else MISSING_CODE


def _rows(columns: Sequence[NDArray[Any]]) -> int:
    lengths = {len(column) for column in columns}
    if len(lengths) > 1:
        raise DataError(
            "the columns of the features differ in length",
            value=sorted(lengths),
            fix="pass columns of the same table",
        )
    return lengths.pop() if lengths else 0


def _check_bins(feature: Feature, bins: FeatureBins) -> None:
    if isinstance(bins, NumericBins):
        thresholds = np.asarray(bins.thresholds, dtype=np.float64)
        if (
            feature.categorical
            or thresholds.size >= MAX_BINS
            or not np.all(np.abs(thresholds) <= LARGEST)
            or not np.all(np.diff(thresholds) > 0)
        ):
            raise _malformed(f"the thresholds of {feature.name!r} are not usable")
    elif (
        not feature.categorical
        or bins.size >= MAX_BINS
        or len(set(bins.prefixes)) != bins.size
        or not all(0 <= prefix < _PREFIXES for prefix in bins.prefixes)
    ):
        raise _malformed(f"the categories of {feature.name!r} are not usable")


def _feature_of(entry: object) -> tuple[Feature, FeatureBins]:
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        raise _malformed("a feature has no name")
    name = entry["name"]
    if entry.keys() == {"name", "thresholds"}:
        thresholds = entry["thresholds"]
        if all(type(number) in {float, int} for number in thresholds):
            return Feature(name), NumericBins(tuple(map(float, thresholds)))
    elif entry.keys() == {"name", "prefixes"}:
        prefixes = entry["prefixes"]
        if all(type(number) is int for number in prefixes):
            return Feature(name, categorical=True), CategoryBins(tuple(prefixes))
    raise _malformed(f"the feature {name!r} has neither thresholds nor prefixes")


def _malformed(what: str) -> ModelFormatError:
    return ModelFormatError(
        f"an encoder is malformed: {what}",
        fix="register the model again from the run that trained it",
    )

"""Columns to codes: what a site does with its rows once the bins are agreed."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from fed_audience.errors import DataError, ModelFormatError
from fed_audience.gbdt.bins.canonical import LARGEST, canonical, read_only
from fed_audience.gbdt.bins.categories import categories_of
from fed_audience.gbdt.bins.feature_bins import (
    MAX_BINS,
    MISSING_CODE,
    CategoryBins,
    Feature,
    FeatureBins,
    NumericBins,
)
from fed_audience.gbdt.bins.numbers import as_float64
from fed_audience.gbdt.bins.threshold_search import ThresholdSearch, write_codes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from fed_audience.gbdt.bins.arrow_columns import Column

    Codes = NDArray[np.uint8]
    Floats = NDArray[np.float64]

_BLOCK: Final = 1 << 13  # rows of all features together stay in the second-level cache
_PREFIXES: Final = 1 << 24
_VERSION: Final = 1


def encode_numeric(x: Floats, bins: NumericBins) -> Codes:
    """Code of each number: uint8[n], the number of thresholds below it; MISSING_CODE for NaN."""
    values = read_only(x)
    out = np.empty(values.shape, dtype=np.uint8)
    write_codes(values, ThresholdSearch.of(bins), out)
    return out


def encode_categorical(
    prefixes: NDArray[np.uint32], missing: NDArray[np.bool_], bins: CategoryBins
) -> Codes:
    """Code of each category: uint8[n]; MISSING_CODE for missing, rare and unseen ones."""
    known = np.asarray(bins.prefixes, dtype=np.uint32)
    rank = np.argsort(known).astype(np.uint8)
    ascending = np.append(known[rank], np.uint32(2**32 - 1))
    place = np.searchsorted(ascending, prefixes)
    found = (ascending[place] == prefixes) & ~missing
    return np.where(found, np.append(rank, MISSING_CODE)[place], MISSING_CODE).astype(np.uint8)


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
        categories = {
            f: categories_of(self._column(columns, f), key)
            for f, bins in enumerate(self.bins)
            if isinstance(bins, CategoryBins)
        }
        coded = {
            f: encode_categorical(categories[f].prefixes, categories[f].missing, bins)
            for f, bins in enumerate(self.bins)
            if isinstance(bins, CategoryBins)
        }
        rows = _rows([*values, *(found.positions for found in categories.values())])
        out = np.empty((rows, len(self.features)), dtype=np.uint8)
        searches = [ThresholdSearch.of(b) for b in self.bins if isinstance(b, NumericBins)]

        def encode_block(start: int) -> None:
            block = out[start : start + _BLOCK]
            for f, column, search in zip(numeric, values, searches, strict=True):
                write_codes(column[start : start + _BLOCK], search, block[:, f])
            for f, found in categories.items():
                block[:, f] = coded[f][found.positions[start : start + _BLOCK]]

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
                found = categories_of(column, key)
                codes = encode_categorical(found.prefixes, found.missing, bins)
                ready.append(np.where(codes == MISSING_CODE, np.nan, codes)[found.positions])
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

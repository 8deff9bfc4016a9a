"""A site's rows for one run: read once, frozen, counted, then encoded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fed_audience.errors import DataError
from fed_audience.federation.refusal import Refusal
from fed_audience.gbdt.categories import bucket_counts, category_hashes, refined_counts
from fed_audience.gbdt.codes import BinnedMatrix
from fed_audience.gbdt.encoding import as_float64, encode_categorical, encode_numeric
from fed_audience.gbdt.grid import Grid, canonical, keys
from fed_audience.gbdt.sampling import row_hashes, validation_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from concurrent.futures import ThreadPoolExecutor

    from numpy.typing import NDArray

    from fed_audience.federation.manifest import Manifest
    from fed_audience.federation.messages import CountValues, SiteNote
    from fed_audience.federation.source import RowSource
    from fed_audience.gbdt.bins import CategoryBins, Feature, FeatureBins, NumericBins


@dataclass(frozen=True, slots=True)
class NumericColumn:
    """Values float64[rows], canonical; ``clipped``: training rows clipped to +-2^64."""

    values: NDArray[np.float64]
    clipped: int

    def codes(self, bins: FeatureBins) -> NDArray[np.uint8]:
        """Encode every row: uint8[rows]."""
        return encode_numeric(self.values, cast("NumericBins", bins))


@dataclass(frozen=True, slots=True)
class CategoricalColumn:
    """Hash prefixes uint32[rows] and which rows are missing, bool[rows]."""

    prefixes: NDArray[np.uint32]
    missing: NDArray[np.bool_]

    def codes(self, bins: FeatureBins) -> NDArray[np.uint8]:
        """Encode every row: uint8[rows]."""
        return encode_categorical(self.prefixes, self.missing, cast("CategoryBins", bins))


@dataclass(frozen=True, slots=True)
class SiteRows:
    """Rows in memory, training rows first, then validation rows.

    ``labels``: float64[rows] of 0 and 1, empty at a site that holds none. About
    8 bytes a value until ``encode``; the codes replace them.
    """

    columns: tuple[NumericColumn | CategoricalColumn, ...]
    labels: NDArray[np.float64]
    rows: int
    training_rows: int
    missing_features: tuple[int, ...]

    @property
    def training_labels(self) -> NDArray[np.float64]:
        """Labels of the training rows."""
        return self.labels[: self.training_rows]

    @property
    def validation_labels(self) -> NDArray[np.float64]:
        """Labels of the validation rows."""
        return self.labels[self.training_rows :]

    @property
    def clipped(self) -> dict[int, int]:
        """Feature -> training rows whose value had to be clipped (infinities among them)."""
        return {
            index: column.clipped
            for index, column in enumerate(self.columns)
            if isinstance(column, NumericColumn) and column.clipped
        }

    def notes(self) -> tuple[SiteNote, ...]:
        """Say what is unusual about the site's training rows, in words of a closed list."""
        if self.training_rows == 0:
            return ("no_rows",)
        if len(self.labels) == 0:
            return ()
        positives = int(self.training_labels.sum())
        if positives == 0:
            return ("no_positives",)
        return ("no_negatives",) if positives == self.training_rows else ()

    def label_counts(self) -> NDArray[np.int64]:
        """Training rows, their positives, validation rows, their positives."""
        parts = (self.training_labels, self.validation_labels)
        return np.array([n for part in parts for n in (len(part), part.sum())], dtype=np.int64)

    def count(
        self, request: CountValues, pool: ThreadPoolExecutor | None = None
    ) -> NDArray[np.int64]:
        """Count training rows as ``request`` asks; the parts in its order, joined."""
        ends = np.cumsum(request.survivor_counts, dtype=np.int64)
        kept = np.split(request.survivors, ends[:-1])
        jobs: list[Callable[[], NDArray[np.int64]]] = [
            *(
                self._numeric_job(feature, Grid.from_json(text))
                for feature, text in zip(request.numeric, request.grids, strict=True)
            ),
            *(self._bucket_job(feature) for feature in request.bucketed),
            *(
                self._refined_job(feature, survivors)
                for feature, survivors in zip(request.refined, kept, strict=False)
            ),
        ]
        parts = [future.result() for future in map(pool.submit, jobs)] if pool else None
        return np.concatenate(parts if parts is not None else [job() for job in jobs])

    def encode(
        self, bins: Sequence[FeatureBins], pool: ThreadPoolExecutor | None = None
    ) -> BinnedMatrix:
        """Codes of all rows, training rows first."""
        codes = np.empty((len(self.columns), self.rows), dtype=np.uint8)

        def job(index: int) -> None:
            codes[index] = self.columns[index].codes(bins[index])

        numbers = range(len(self.columns))
        list(pool.map(job, numbers) if pool else map(job, numbers))
        return BinnedMatrix.from_columns(codes, bins)

    def _numeric_job(self, feature: int, grid: Grid) -> Callable[[], NDArray[np.int64]]:
        column = self.columns[feature]
        if not isinstance(column, NumericColumn):
            raise Refusal("bad_message", detail=f"feature {feature} is not numeric")

        def job() -> NDArray[np.int64]:
            counts = grid.counts(keys(column.values[: self.training_rows]))
            return np.append(counts, np.int64(column.clipped))

        return job

    def _bucket_job(self, feature: int) -> Callable[[], NDArray[np.int64]]:
        prefixes, missing = self._categorical(feature)
        return lambda: bucket_counts(prefixes, missing)

    def _refined_job(
        self, feature: int, survivors: NDArray[np.uint32]
    ) -> Callable[[], NDArray[np.int64]]:
        prefixes, missing = self._categorical(feature)
        return lambda: refined_counts(prefixes, missing, survivors)

    def _categorical(self, feature: int) -> tuple[NDArray[np.uint32], NDArray[np.bool_]]:
        column = self.columns[feature]
        if not isinstance(column, CategoricalColumn):
            raise Refusal("bad_message", detail=f"feature {feature} is not categorical")
        return column.prefixes[: self.training_rows], column.missing[: self.training_rows]


def read_rows(
    manifest: Manifest, source: RowSource, category_key: bytes, *, labelled: bool
) -> SiteRows:
    """Read ``source`` once and sort its rows into training and validation.

    Raises Refusal for a missing column, an unusable type, a label other than 0 and 1, or row
    keys that are null or repeated.
    """
    table = pa.Table.from_batches(list(source.batches()))
    _refuse_repeated_columns(table, manifest)
    row_key = _plain(_column(table, manifest.row_key))
    if row_key.null_count or pc.count_distinct(row_key).as_py() != len(row_key):
        raise Refusal("row_keys", manifest.row_key, detail=_repetition(row_key))
    groups = _plain(_column(table, manifest.group_key)) if manifest.group_key else row_key
    held_out = _held_out(manifest, groups)
    order = np.concatenate((np.flatnonzero(~held_out), np.flatnonzero(held_out)))
    training_rows = int(len(held_out) - held_out.sum())
    missing = tuple(
        index
        for index, feature in enumerate(manifest.features)
        if feature.name not in table.column_names
    )
    if missing and not manifest.allow_missing_features:
        raise Refusal("missing_feature", manifest.features[missing[0]].name)
    absent = pa.nulls(table.num_rows)
    columns = tuple(
        _read_feature(
            feature,
            absent if index in missing else table.column(feature.name),
            order,
            training_rows,
            category_key,
        )
        for index, feature in enumerate(manifest.features)
    )
    labels = _labels(table, manifest)[order] if labelled else np.empty(0)
    return SiteRows(columns, labels, table.num_rows, training_rows, missing)


def _held_out(manifest: Manifest, groups: pa.ChunkedArray[Any]) -> NDArray[np.bool_]:
    parameters = manifest.parameters
    if parameters.early_stopping_round == 0:
        return np.zeros(len(groups), dtype=bool)
    try:
        hashes = row_hashes(groups)
    except (DataError, pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        name = manifest.group_key or manifest.row_key
        raise Refusal("row_keys", name, detail=groups.type) from error
    return validation_rows(hashes, seed=parameters.seed, fraction=parameters.validation_fraction)


def _read_feature(
    feature: Feature,
    column: pa.ChunkedArray[Any] | pa.Array[Any],
    order: NDArray[np.int64],
    training_rows: int,
    category_key: bytes,
) -> NumericColumn | CategoricalColumn:
    try:
        if feature.categorical:
            prefixes, missing = category_hashes(column, category_key)
            return CategoricalColumn(prefixes[order], missing[order])
        values = as_float64(column)[order]
    except (DataError, pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise Refusal("column_type", feature.name, detail=column.type) from error
    clipped = canonical(values[:training_rows]).clipped
    return NumericColumn(canonical(values).values, clipped)


def _labels(table: pa.Table, manifest: Manifest) -> NDArray[np.float64]:
    column = _column(table, manifest.label)
    try:
        labels = as_float64(column)
    except DataError as error:
        raise Refusal("column_type", manifest.label, detail=column.type) from error
    if not ((labels == 0) | (labels == 1)).all():
        raise Refusal("label_values", manifest.label)
    return labels


def _column(table: pa.Table, name: str) -> Any:
    if name not in table.column_names:
        raise Refusal("missing_column", name, detail=f"columns: {table.column_names}")
    return table.column(name)


def _plain(column: Any) -> Any:
    """Values of a dictionary-encoded column."""
    is_dictionary = pa.types.is_dictionary(column.type)
    return column.cast(column.type.value_type) if is_dictionary else column


def _refuse_repeated_columns(table: pa.Table, manifest: Manifest) -> None:
    wanted: Iterable[str | None] = (
        *(feature.name for feature in manifest.features),
        manifest.label,
        manifest.row_key,
        manifest.group_key,
    )
    for name in wanted:
        if name is not None and table.column_names.count(name) > 1:
            raise Refusal("column_type", name, detail="two columns have this name")


def _repetition(keys_: Any) -> str:
    distinct = pc.count_distinct(keys_).as_py()
    return f"{keys_.null_count} null, {distinct} distinct keys in {len(keys_)} rows"

"""A site's rows for one run: read once, frozen, counted, then encoded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pyarrow as pa

from fed_audience.errors import DataError
from fed_audience.federation.refusal import Refusal
from fed_audience.federation.row_roles import key_hashes, plain_column, read_roles
from fed_audience.gbdt.categories import bucket_counts, category_hashes, refined_counts
from fed_audience.gbdt.codes import BinnedMatrix
from fed_audience.gbdt.encoding import as_float64, encode_categorical, encode_numeric
from fed_audience.gbdt.grid import Grid, canonical, keys
from fed_audience.gbdt.label_cap import magnitude_counts
from fed_audience.gbdt.sampling import validation_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from concurrent.futures import ThreadPoolExecutor

    from numpy.typing import NDArray

    from fed_audience.federation.manifest import Manifest
    from fed_audience.federation.messages import CountValues, SiteNote
    from fed_audience.federation.row_roles import RowRoles
    from fed_audience.federation.source import RowSource
    from fed_audience.gbdt.bins import CategoryBins, Feature, FeatureBins, NumericBins
    from fed_audience.gbdt.objectives import Objective


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

    About 8 bytes a value until ``encode``; the codes replace them.
    """

    columns: tuple[NumericColumn | CategoricalColumn, ...]
    roles: RowRoles
    rows: int
    training_rows: int
    missing_features: tuple[int, ...]

    @property
    def clipped(self) -> dict[int, int]:
        """Feature -> training rows whose value had to be clipped (infinities among them)."""
        return {
            index: column.clipped
            for index, column in enumerate(self.columns)
            if isinstance(column, NumericColumn) and column.clipped
        }

    def notes(self, objective: str) -> tuple[SiteNote, ...]:
        """Say what is unusual about the site's training rows, in words of a closed list."""
        if self.training_rows == 0:
            return ("no_rows",)
        if len(self.roles.labels) == 0 or objective != "binary":
            return ()
        positives = int(self.roles.labels[: self.training_rows].sum())
        if positives == 0:
            return ("no_positives",)
        return ("no_negatives",) if positives == self.training_rows else ()

    def label_counts(self, objective: Objective) -> NDArray[np.int64]:
        """Training rows, validation rows, weight of these; label sums of the training rows."""
        first = self.training_rows
        labels, weights = self.roles.labels, self.roles.weights
        held_out = objective.weight_sum(
            None if weights is None else weights[first:], self.rows - first
        )
        sums = objective.label_sums(labels[:first], None if weights is None else weights[:first])
        return np.append(np.array([first, self.rows - first, held_out], dtype=np.int64), sums)

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
            *([self._label_job()] if request.labels else []),
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

    def _label_job(self) -> Callable[[], NDArray[np.int64]]:
        if not len(self.roles.labels) and self.rows:
            raise Refusal("bad_message", detail="this site holds no labels in this run")
        return lambda: magnitude_counts(self.roles.labels)

    def _categorical(self, feature: int) -> tuple[NDArray[np.uint32], NDArray[np.bool_]]:
        column = self.columns[feature]
        if not isinstance(column, CategoricalColumn):
            raise Refusal("bad_message", detail=f"feature {feature} is not categorical")
        return column.prefixes[: self.training_rows], column.missing[: self.training_rows]


def read_rows(
    manifest: Manifest, source: RowSource, category_key: bytes, *, labelled: bool
) -> SiteRows:
    """Read ``source`` once and sort its rows into training and validation.

    Raises Refusal for a missing column, an unusable type, labels, weights or brands that cannot be
    learnt from, or row keys that are null or repeated.
    """
    table = pa.Table.from_batches(list(source.batches()))
    _refuse_repeated_columns(table, manifest)
    roles = read_roles(table, manifest, labelled=labelled)
    held_out = _held_out(table, manifest)
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
    return SiteRows(columns, roles.take(order), table.num_rows, training_rows, missing)


def _held_out(table: pa.Table, manifest: Manifest) -> NDArray[np.bool_]:
    parameters = manifest.parameters
    groups = plain_column(table, manifest.group_key or manifest.row_key)
    if parameters.early_stopping_round == 0:
        return np.zeros(table.num_rows, dtype=bool)
    hashes = key_hashes(groups, manifest.group_key or manifest.row_key)
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


def _refuse_repeated_columns(table: pa.Table, manifest: Manifest) -> None:
    wanted: Iterable[str | None] = (
        *(feature.name for feature in manifest.features),
        manifest.label,
        manifest.row_key,
        manifest.group_key,
        manifest.weight,
        manifest.brand,
    )
    for name in wanted:
        if name is not None and table.column_names.count(name) > 1:
            raise Refusal("column_type", name, detail="two columns have this name")

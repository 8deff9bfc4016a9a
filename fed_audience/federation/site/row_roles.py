"""What a row carries beside its features: label, weight, brand, key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fed_audience.errors import DataError
from fed_audience.federation.brand_scores import BrandColumn
from fed_audience.federation.messages.refusal import Refusal
from fed_audience.gbdt.bins.numbers import as_float64
from fed_audience.gbdt.growing.sampling import row_hashes
from fed_audience.gbdt.objectives import objective_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fed_audience.federation.manifest import Manifest

ScalarT = TypeVar("ScalarT", bound=np.generic)


@dataclass(frozen=True, slots=True)
class RowRoles:
    """Roles of a site's rows, in its own order of rows.

    ``labels``: float64[n], empty at a site that holds none. ``weights``: float64[n] or None where
    every row weighs 1. ``hashes``: uint64[n] of the row keys or None where nothing is drawn.
    ``groups``: uint64[n] of the group keys or None where every row is a group of its own.
    """

    labels: NDArray[np.float64]
    weights: NDArray[np.float64] | None
    brands: BrandColumn | None
    hashes: NDArray[np.uint64] | None
    groups: NDArray[np.uint64] | None

    def parted(self, training: NDArray[np.bool_]) -> RowRoles:
        """Return the roles with those of the rows marked in ``training``, bool[n], first."""
        brands = self.brands
        return RowRoles(
            parted(self.labels, training) if len(self.labels) else self.labels,
            None if self.weights is None else parted(self.weights, training),
            None if brands is None else BrandColumn(brands.names, parted(brands.codes, training)),
            None if self.hashes is None else parted(self.hashes, training),
            None if self.groups is None else parted(self.groups, training),
        )


def parted(values: NDArray[ScalarT], training: NDArray[np.bool_]) -> NDArray[ScalarT]:
    """Return a copy of ``values`` [n] with those marked in ``training`` first."""
    return np.concatenate((values[training], values[~training]))


def read_roles(table: pa.Table, manifest: Manifest, *, labelled: bool) -> RowRoles:
    """Read and check every role that ``manifest`` declares. Raises Refusal naming the column."""
    brands = _brands(table, manifest) if labelled else None
    check_keys(table, manifest)
    grouped = labelled and manifest.group_key
    drawn = labelled and manifest.parameters.bagging_fraction < 1.0
    return RowRoles(
        _labels(table, manifest) if labelled else np.empty(0),
        _weights(table, manifest, brands) if labelled and manifest.weighted else None,
        brands,
        key_hashes(plain_column(table, manifest.row_key), manifest.row_key) if drawn else None,
        key_hashes(plain_column(table, grouped), grouped) if grouped else None,
    )


def check_keys(table: pa.Table, manifest: Manifest) -> None:
    """Refuse row keys that are null, or repeated within a brand."""
    key = plain_column(table, manifest.row_key)
    if _differ_by_hash(key):
        return
    distinct = pc.count_distinct(key).as_py()
    if distinct != len(key) and manifest.brand in table.column_names and manifest.brand:
        pairs: Any = pa.table({"key": key, "brand": plain_column(table, manifest.brand)})
        distinct = pairs.group_by(["key", "brand"]).aggregate([]).num_rows
    if key.null_count or distinct != len(key):
        detail = f"{key.null_count} null, {distinct} distinct keys in {len(key)} rows"
        raise Refusal("row_keys", manifest.row_key, detail=detail)


def _differ_by_hash(keys: Any) -> bool:
    """Whether all keys have hashes of their own: quicker than comparing them, in 8 bytes a row."""
    try:
        hashes = row_hashes(keys)
    except (DataError, pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return False  # a null, or keys without text: the exact count decides and names them
    hashes.sort()
    return not (hashes[1:] == hashes[:-1]).any()


def key_hashes(keys: Any, name: str) -> NDArray[np.uint64]:
    """Hash the keys of column ``name``. Raises Refusal for a null, or a type that has no text."""
    try:
        return row_hashes(keys)
    except (DataError, pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise Refusal("row_keys", name, detail=keys.type) from error


def plain_column(table: pa.Table, name: str) -> Any:
    """Return a column's values, dictionary encoding undone. Raises Refusal when it is missing."""
    if name not in table.column_names:
        raise Refusal("missing_column", name, detail=f"columns: {table.column_names}")
    column: Any = table.column(name)
    is_dictionary = pa.types.is_dictionary(column.type)
    return column.cast(column.type.value_type) if is_dictionary else column


def _labels(table: pa.Table, manifest: Manifest) -> NDArray[np.float64]:
    column = plain_column(table, manifest.label)
    try:
        if manifest.classes:
            known = pa.array(manifest.classes)
            column = pc.index_in(column.cast(pa.string()), value_set=known)
        labels = as_float64(column)
    except (DataError, pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise Refusal("column_type", manifest.label, detail=column.type) from error
    if problem := objective_of(manifest.parameters).label_problem(labels):
        raise Refusal("label_values", manifest.label, detail=problem)
    return labels


def _weights(
    table: pa.Table, manifest: Manifest, brands: BrandColumn | None
) -> NDArray[np.float64]:
    weights = np.ones(table.num_rows)
    if manifest.weight is not None:
        column = plain_column(table, manifest.weight)
        try:
            weights = as_float64(column)
        except DataError as error:
            raise Refusal("column_type", manifest.weight, detail=column.type) from error
        if (weights > manifest.max_weight).any():
            raise Refusal("weight_values", manifest.weight)
    if brands is not None and manifest.brand_weights:
        of_brand = dict(manifest.brand_weights)
        factors = np.array([of_brand.get(name, 1.0) for name in brands.names])
        weights = weights * factors[brands.codes]
    if problem := objective_of(manifest.parameters, weight_cap=manifest.weight_cap).weight_problem(
        weights
    ):
        raise Refusal("weight_values", manifest.weight or "", detail=problem)
    return weights


def _brands(table: pa.Table, manifest: Manifest) -> BrandColumn | None:
    if manifest.brand is None:
        return None
    column = plain_column(table, manifest.brand)
    if column.null_count:
        raise Refusal("brand_values", manifest.brand, detail=f"{column.null_count} null")
    try:
        texts: Any = column.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise Refusal("column_type", manifest.brand, detail=column.type) from error
    names: Any = pc.unique(texts).sort()
    codes: Any = pc.index_in(texts, value_set=names)
    return BrandColumn(tuple(names.to_pylist()), codes.to_numpy().astype(np.int64))

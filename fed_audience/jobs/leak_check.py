"""Features that leak the label: known only after the cutoff, or the label under another name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fed_audience.errors import DataError
from fed_audience.jobs.rows import FEATURE_PREFIX, SiteRows, require_column

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fed_audience.warehouse.manifest import ModelSpec
    from fed_audience.warehouse.protocol import Relation

LEAKY_AUC: Final = 0.99
"""Area under the curve of one feature alone, from which it is taken for the label itself."""
LEAST_OF_A_CLASS: Final = 50
"""Rows of each label below which a single feature may part them by chance."""
MOST_ROWS: Final = 200_000
"""Rows that are looked at, evenly spread: more do not change the verdict."""
LEAST_OF_A_CATEGORY: Final = 20
"""Rarer categories count as one: each alone would tell the label of its few rows."""


def check_leaks(site: str, rows: SiteRows, relation: Relation, spec: ModelSpec) -> None:
    """Raise DataError naming the features of ``rows`` that leak what is to be predicted.

    Looked at are dates among the features and the columns of ``features_as_of``, which may not lie
    after the cutoff; and how well each feature alone parts the labels 0 and 1. Nothing of this
    leaves the site but, where its contract lets it say why it declines, the features' names.
    """
    _refuse_later(site, rows, relation, spec)
    names = [
        name
        for name in rows.table.column_names
        if name.startswith(FEATURE_PREFIX)
        and name not in (*spec.exclude_features, *spec.allow_leaky)
    ]
    sample = _sample(rows.table.select([*names, spec.label]))
    labels = sample[spec.label].cast(pa.float64()).to_numpy()
    if not set(np.unique(labels)) <= {0.0, 1.0}:
        return
    positive = labels == 1.0
    if min(positive.sum(), (~positive).sum()) < LEAST_OF_A_CLASS:
        return
    alone = {name: single_auc(_ordered(sample[name], positive), positive) for name in names}
    leaky = {name: auc for name, auc in alone.items() if auc >= LEAKY_AUC}
    if leaky:
        raise DataError(
            f"{site}: features tell the label all but alone, as only its own leak does",
            value=", ".join(f"{name} (AUC {auc:.3f})" for name, auc in sorted(leaky.items())),
            limit=f"below {LEAKY_AUC:g} for each alone",
            looked=relation.sql(),
            fix="compute them from what happened before the cutoff; or name them in "
            "meta.fed_audience of the model, under exclude_features to leave them out, under "
            "allow_leaky to let honest ones pass",
        )


def single_auc(values: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """Return how well ``values`` float64[n] alone part the labels: 0.5 not at all, 1 wholly.

    Area under the ROC curve by the rank sum (Hanley and McNeil 1982), ties counting half, in
    whichever direction it is larger.
    """
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    ones = int(positive.sum())
    zeros = len(values) - ones
    auc = (float(ranks[positive].sum()) - ones * (ones + 1) / 2) / (ones * zeros)
    return max(auc, 1.0 - auc)


def _ordered(column: pa.ChunkedArray[Any], positive: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return float64[n]: numbers as they are, categories by their rate; a missing one is lowest."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        codes = column.combine_chunks().dictionary_encode().indices.fill_null(-1).to_numpy() + 1
        counts = np.bincount(codes)
        rare = counts < LEAST_OF_A_CATEGORY
        codes = np.where(rare[codes], len(counts), codes)
        sizes = np.maximum(np.bincount(codes, minlength=len(counts) + 1), 1)
        ones = np.bincount(codes, weights=positive, minlength=len(counts) + 1)
        rates: NDArray[np.float64] = (ones / sizes)[codes]
        return rates
    if _is_instant(column.type):
        column = column.cast(pa.timestamp("us"), safe=False).cast(pa.int64())
    given: Any = column.cast(pa.float64(), safe=False)
    numbers = pc.fill_null(given, np.nan).to_numpy()
    return np.where(np.isnan(numbers), -np.inf, numbers)


def _sample(table: pa.Table) -> pa.Table:
    step = -(-table.num_rows // MOST_ROWS)
    if step > 1:
        table = table.take(np.arange(0, table.num_rows, step))
    return table.filter(pc.is_valid(table[table.column_names[-1]]))


def _refuse_later(site: str, rows: SiteRows, relation: Relation, spec: ModelSpec) -> None:
    """Raise DataError where a feature is known only after the cutoff."""
    asked = _dated(rows.table, spec)
    if not asked:
        return
    for column in (spec.cutoff, *asked.values()):
        require_column(site, relation, rows.table, column)
    cutoff = _micros(rows.table[spec.cutoff])
    for feature, column in asked.items():
        beyond = pc.greater(_micros(rows.table[column]), cutoff)
        later = pc.sum(beyond.cast(pa.int64())).as_py() or 0
        if later:
            raise DataError(
                f"{site}: {feature} is known only after the cutoff",
                value=f"{later:,} of {rows.table.num_rows:,} rows",
                limit=f"{column} up to {spec.cutoff}",
                looked=relation.sql(),
                fix="compute the features from what happened before the cutoff",
            )


def _dated(table: pa.Table, spec: ModelSpec) -> dict[str, str]:
    """Return what is to lie before the cutoff: feature, or what is said of it -> column."""
    declared = spec.features_as_of or {}
    if isinstance(declared, str):
        declared = {"what its features hold": declared}
    dates = {
        field.name: field.name
        for field in table.schema
        if field.name.startswith(FEATURE_PREFIX)
        and _is_instant(field.type)
        and field.name not in spec.exclude_features
    }
    return dates | declared


def _is_instant(kind: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind))


def _micros(column: pa.ChunkedArray[Any]) -> pa.ChunkedArray[Any]:
    return column.cast(pa.timestamp("us"), safe=False)

"""A site's rows for training: what dbt built, less everyone who withdrew since."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from itertools import chain
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc

from fed_audience.consent.statement import ConsentRelations, usable
from fed_audience.errors import DataError
from fed_audience.federation.site.spooled_table import filtered, table_of
from fed_audience.gbdt.bins import Feature
from fed_audience.gbdt.growing.sampling import chosen, keyed, row_hashes, validation_rows
from fed_audience.warehouse.key_buckets import in_buckets
from fed_audience.warehouse.protocol import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from fed_audience.jobs.sites import Site
    from fed_audience.warehouse.protocol import Relation, Warehouse

FEATURE_PREFIX: Final = "f_"
TRAINING_PURPOSES: Final = ("train", "share_model")


@dataclass(frozen=True, slots=True)
class SiteRows:
    """Rows that may be trained on now. ``withdrawn`` were built in, and have no consent now.

    ``table``: of many rows, a file's: what is read of it comes and goes.
    """

    site: str
    table: pa.Table
    withdrawn: int

    @property
    def fill_rates(self) -> dict[str, float]:
        """Share of filled values (0 to 1) of each feature."""
        rows = max(1, self.table.num_rows)
        return {
            name: 1.0 - self.table[name].null_count / rows
            for name in self.table.column_names
            if name.startswith(FEATURE_PREFIX)
        }

    def features(self, excluded: Sequence[str] = ()) -> dict[str, Feature]:
        """Return the declared features by name: text columns are categories."""
        return {
            field.name: Feature(field.name, categorical=_is_text(field.type))
            for field in self.table.schema
            if field.name.startswith(FEATURE_PREFIX) and field.name not in excluded
        }

    def split(
        self, key: str, fraction: float, seed: int, *, by_the_site: bool = False
    ) -> tuple[pa.Table, pa.Table]:
        """Part the rows into (training, held out) by stable hash of column ``key``.

        ``by_the_site``: as a site program does that is given all rows and holds some out itself.
        """
        hashes = row_hashes(self.table[key])
        held_out = (
            validation_rows(hashes, seed=seed, fraction=fraction)
            if by_the_site
            else chosen(keyed(hashes, seed=seed, use="held out"), fraction)
        )
        return filtered(self.table, ~held_out), filtered(self.table, held_out)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which part of a relation is read: all of it, unless something is said.

    ``columns``: these alone. ``where``: a condition with ``parameters``. ``buckets``: rows whose
    entity is in these alone (``warehouse.key_buckets``).
    """

    columns: Sequence[str] = ()
    where: str = ""
    parameters: Sequence[object] = ()
    buckets: Sequence[int] | None = None

    def sql(self, relation: Relation, entity: str) -> str:
        """Return the statement that reads it; its parameters are ``parameters``."""
        dealt = () if self.buckets is None else (in_buckets(quoted(entity), self.buckets),)
        conditions = " and ".join(filter(None, (self.where, *dealt)))
        columns = ", ".join(map(quoted, self.columns)) or "*"
        return f"select {columns} from {relation.sql()}" + (conditions and f" where {conditions}")


ALL: Final = Selection()


def read_consented_rows(
    site: Site,
    warehouse: Warehouse,
    relation: Relation,
    *,
    entity: str,
    as_of: datetime,
    label: str | None = None,
    selection: Selection = ALL,
) -> SiteRows:
    """Read ``relation`` and keep the rows of people who allow training at ``as_of``.

    Nobody is among them who was erased, or has refused since. Raises DataError when a customer
    stands in it twice, when column ``entity`` or ``label`` is missing, or when the label is no
    number.
    """
    relations = ConsentRelations.of_schema(site.profile.schema_)
    allowed = usable(warehouse, relations, TRAINING_PURPOSES, as_of, selection.buckets)
    statement = selection.sql(relation, entity)
    batches = warehouse.stream(statement, selection.parameters)
    first = next(batches, None)
    table = (
        table_of(chain([first], batches))
        if first is not None
        else warehouse.query(f"{statement} limit 0", selection.parameters)
    )
    for column in (entity, label):
        if column is not None:
            require_column(site.name, relation, table, column)
    if label is not None and _is_text(table.schema.field(label).type):
        raise DataError(
            f"{site.name}: the label is text",
            value=label,
            limit="0 or 1, or the amount of a demand",
            looked=relation.sql(),
            fix="make it a number in the brand's dbt model",
        )
    ids = table[entity].cast(pa.string())
    if pc.count_distinct(ids).as_py() != table.num_rows:
        raise DataError(
            f"{site.name}: a customer stands in the training table more than once",
            value=f"{table.num_rows:,} rows, {pc.count_distinct(ids).as_py():,} customers",
            looked=f"{relation.name}.{entity}",
            fix="make the model unique by customer",
        )
    consenting_now = pc.is_in(ids, value_set=allowed).to_numpy()
    kept = filtered(table, consenting_now & site.tombstones(warehouse).spare(table[entity]))
    return SiteRows(site.name, kept, table.num_rows - kept.num_rows)


def require_column(site: str, relation: Relation, table: pa.Table, column: str) -> None:
    """Raise DataError naming the nearest column when ``table`` lacks ``column``."""
    if column in table.column_names:
        return
    near = get_close_matches(column, table.column_names, n=1, cutoff=0.6)
    raise DataError(
        f"{site}: the table has no column {column}",
        looked=relation.sql(),
        fix=f"did you mean '{near[0]}'? Name it in meta.fed_audience of the model"
        if near
        else "add it to the brand's dbt model",
    )


def require_features(by_site: Mapping[str, SiteRows], features: Sequence[Feature]) -> None:
    """Raise DataError when a site lacks one of ``features``."""
    for site, rows in by_site.items():
        lacking = [one.name for one in features if one.name not in rows.table.column_names]
        if lacking:
            raise DataError(
                f"{site} lacks features that another brand has, and this model needs all of them",
                value=", ".join(lacking[:5]),
                looked=f"training table of {site}",
                fix="add them there or exclude them; without noise missing_features: accept lets "
                "them be missing",
            )


def agreed_features(
    by_site: Mapping[str, SiteRows], excluded: Sequence[str] = ()
) -> tuple[Feature, ...]:
    """Return all features of all sites, sorted by name.

    A column that is empty at a site says nothing about its type, unless it is empty everywhere.
    Raises DataError when sites that fill a feature disagree on whether it is a category.
    """
    declared: dict[str, dict[str, bool]] = {}
    filled: dict[str, dict[str, bool]] = {}
    for site, rows in by_site.items():
        rates = rows.fill_rates
        for name, feature in rows.features(excluded).items():
            declared.setdefault(name, {})[site] = feature.categorical
            if rates[name] > 0.0:
                filled.setdefault(name, {})[site] = feature.categorical
    for name, votes in filled.items():
        if len(set(votes.values())) > 1:
            raise DataError(
                f"feature {name} is text at one brand and a number at another",
                value=", ".join(f"{s}: {'text' if t else 'number'}" for s, t in votes.items()),
                fix="cast it to one type in each brand's dbt model",
            )
    return tuple(
        Feature(name, categorical=any(filled.get(name, declared[name]).values()))
        for name in sorted(declared)
    )


def _is_text(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind)
    )

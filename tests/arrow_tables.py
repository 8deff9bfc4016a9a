"""Arrow tables as tables of a warehouse, whatever its engine."""

from __future__ import annotations

import pyarrow as pa

from fed_audience.warehouse.protocol import Relation, Warehouse, quoted

_TYPES = {
    pa.string(): "varchar",
    pa.null(): "varchar",
    pa.bool_(): "boolean",
    pa.int32(): "integer",
    pa.int64(): "bigint",
    pa.float64(): "double precision",
    pa.date32(): "date",
    pa.timestamp("us"): "timestamp",
    pa.timestamp("us", "UTC"): "timestamp with time zone",
}


def _type_of(kind: pa.DataType) -> str:
    return _TYPES[kind.value_type if isinstance(kind, pa.DictionaryType) else kind]


def create_table(warehouse: Warehouse, relation: Relation, rows: pa.Table) -> None:
    """Create ``relation`` with the columns of ``rows``, and fill it."""
    columns = ", ".join(f"{quoted(field.name)} {_type_of(field.type)}" for field in rows.schema)
    warehouse.execute(f"create table {relation.sql()} ({columns})")
    warehouse.insert(relation, rows)

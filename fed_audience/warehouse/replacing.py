"""Replace the rows that belong to one model or audience: all of them, or none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fed_audience.errors import DataError
from fed_audience.warehouse.protocol import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pyarrow as pa

    from fed_audience.warehouse.protocol import Relation, Warehouse


def replace_rows(
    warehouse: Warehouse, table: Relation, owner: tuple[str, str], batches: Iterable[pa.Table]
) -> int:
    """Replace the rows of ``owner`` (column, value) in ``table`` by ``batches``; return how many.

    Until it ends everybody reads the old rows: it is one transaction, or one MERGE from a staging
    table where an engine has none. Raises DataError for a customer that comes twice; then the old
    rows stay.
    """
    if not warehouse.transactional:
        return _merged(warehouse, table, owner, batches)
    column, name = owner
    with warehouse.transaction():
        warehouse.execute(f"delete from {table.sql()} where {column} = ?", [name])
        written = sum(warehouse.insert(table, rows) for rows in batches)
        _refuse_repeated(warehouse, table, owner)
    return written


def merge_statement(table: Relation, staging: Relation, columns: list[str], owner: str) -> str:
    """Return the statement that makes the rows of one owner those of ``staging``.

    Rows are told apart by ``owner`` and customer_id. Placeholder: the owner's value.
    """
    keys = (owner, "customer_id")
    met = " and ".join(f"t.{quoted(key)} = s.{quoted(key)}" for key in keys)
    changed = ", ".join(f"{quoted(one)} = s.{quoted(one)}" for one in columns if one not in keys)
    names = ", ".join(map(quoted, columns))
    values = ", ".join(f"s.{quoted(one)}" for one in columns)
    return (
        f"merge into {table.sql()} as t using {staging.sql()} as s on {met}"
        f" when matched then update set {changed}"
        f" when not matched then insert ({names}) values ({values})"
        f" when not matched by source and t.{quoted(owner)} = ? then delete"
    )


def _merged(
    warehouse: Warehouse, table: Relation, owner: tuple[str, str], batches: Iterable[pa.Table]
) -> int:
    staging = warehouse.temporary(f"fed_audience_new_{table.name}")
    warehouse.execute(
        f"create temp table {staging.sql()} as select * from {table.sql()} where 1 = 0"
    )
    try:
        written = sum(warehouse.insert(staging, rows) for rows in batches)
        _refuse_repeated(warehouse, staging, owner)
        columns = list(warehouse.columns(table))
        warehouse.execute(merge_statement(table, staging, columns, owner[0]), [owner[1]])
    finally:
        warehouse.execute(f"drop table {staging.sql()}")
    return written


def _refuse_repeated(warehouse: Warehouse, table: Relation, owner: tuple[str, str]) -> None:
    column, name = owner
    repeated = warehouse.query(
        "select count(*) - count(distinct customer_id) as repeated"
        f" from {table.sql()} where {column} = ?",
        [name],
    )["repeated"][0].as_py()
    if repeated:
        raise DataError(
            f"{repeated} customers come more than once",
            limit="one row a customer",
            fix="make the scored relation unique by customer; the old rows were kept",
        )

"""Scores and audience members in the brand's warehouse: replaced as a whole, or not at all."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from fed_audience.errors import DataError
from fed_audience.warehouse.control import SCHEMA, control

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from fed_audience.warehouse.protocol import Relation, Warehouse


@dataclass(frozen=True, slots=True)
class ScoreStamp:
    """Which model scored, and when (naive UTC)."""

    model_name: str
    model_version: str
    is_rank: bool
    scored_at: datetime


def write_scores(
    warehouse: Warehouse,
    scores: Iterable[pa.Table],
    stamp: ScoreStamp,
    *,
    schema: str = SCHEMA,
) -> int:
    """Replace all scores of the model by ``scores`` (customer_id, score); return their number.

    One transaction: until it ends everybody reads the old scores. Raises DataError when a
    score is missing or infinite, or a customer comes twice; then the old scores stay.
    """
    table = control("scores", schema)
    written = 0
    with warehouse.transaction():
        warehouse.execute(f"delete from {table.sql()} where model_name = ?", [stamp.model_name])
        for batch in scores:
            _refuse_unusable(batch)
            rows = batch.select(["customer_id", "score"])
            written += warehouse.insert(table, _with_constants(rows, asdict(stamp)))
        _refuse_repeated(
            warehouse,
            f"select count(*) - count(distinct customer_id) as repeated from {table.sql()}"
            " where model_name = ?",
            [stamp.model_name],
        )
    return written


def write_audience(
    warehouse: Warehouse,
    members: pa.Table,
    *,
    audience: str,
    channel: str,
    model_name: str,
    model_version: str,
    selected_at: datetime,
    schema: str = SCHEMA,
) -> int:
    """Replace the members of ``audience`` by ``members`` (customer_id, score); return their number.

    One transaction. Raises DataError as ``write_scores`` does; then the old members stay.
    """
    _refuse_unusable(members)
    table = control("audience_members", schema)
    rows = _with_constants(
        members.select(["customer_id", "score"]),
        {
            "audience": audience,
            "channel": channel,
            "model_name": model_name,
            "model_version": model_version,
            "selected_at": selected_at,
        },
    )
    with warehouse.transaction():
        warehouse.execute(f"delete from {table.sql()} where audience = ?", [audience])
        warehouse.insert(table, rows)
        _refuse_repeated(
            warehouse,
            f"select count(*) - count(distinct customer_id) as repeated from {table.sql()}"
            " where audience = ?",
            [audience],
        )
    return rows.num_rows


def erase_scores(
    warehouse: Warehouse, consenting: pa.Array[pa.StringScalar], *, schema: str = SCHEMA
) -> int:
    """Delete the scores of everyone but ``consenting`` (to `profile`); return how many rows."""
    return _erase_others(warehouse, control("scores", schema), "true", [], consenting)


def erase_members(
    warehouse: Warehouse,
    channel: str,
    consenting: pa.Array[pa.StringScalar],
    *,
    schema: str = SCHEMA,
) -> int:
    """Delete members reached through ``channel`` who are not among ``consenting`` to it."""
    table = control("audience_members", schema)
    return _erase_others(warehouse, table, "channel = ?", [channel], consenting)


def _erase_others(
    warehouse: Warehouse,
    table: Relation,
    condition: str,
    parameters: list[object],
    consenting: pa.Array[pa.StringScalar],
) -> int:
    kept = warehouse.temporary("fed_audience_consenting")
    with warehouse.transaction():
        warehouse.execute(f"create temp table {kept.sql()} (customer_id varchar)")
        warehouse.insert(kept, pa.table({"customer_id": consenting}))
        erased = warehouse.execute(
            f"delete from {table.sql()} where {condition} and not exists"
            f" (select 1 from {kept.sql()} k where k.customer_id = {table.sql()}.customer_id)",
            parameters,
        )
        warehouse.execute(f"drop table {kept.sql()}")
    return erased


def _with_constants(rows: pa.Table, constants: Mapping[str, Any]) -> pa.Table:
    for name, value in constants.items():
        rows = rows.append_column(name, pa.repeat(value, rows.num_rows))
    return rows


def _refuse_unusable(batch: pa.Table) -> None:
    finite = np.isfinite(batch["score"].cast(pa.float64()).to_numpy())
    bad = np.count_nonzero(~finite) + batch["customer_id"].null_count
    if bad:
        raise DataError(
            f"{bad} rows have no customer or no finite score",
            limit="a customer_id and a number in every row",
            fix="look for NULL customers in the scored relation; the old rows were kept",
        )


def _refuse_repeated(warehouse: Warehouse, sql: str, parameters: list[object]) -> None:
    repeated = warehouse.query(sql, parameters)["repeated"][0].as_py()
    if repeated:
        raise DataError(
            f"{repeated} customers come more than once",
            limit="one row a customer",
            fix="make the scored relation unique by customer; the old rows were kept",
        )

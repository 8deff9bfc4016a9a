"""Scores and audience members in the brand's warehouse: replaced as a whole, or not at all."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from fed_audience.errors import DataError
from fed_audience.warehouse.control import SCHEMA, control
from fed_audience.warehouse.replacing import replace_rows

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
    stamped = (_stamped(batch, asdict(stamp)) for batch in scores)
    return replace_rows(
        warehouse, control("scores", schema), ("model_name", stamp.model_name), stamped
    )


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
    rows = _stamped(
        members,
        {
            "audience": audience,
            "channel": channel,
            "model_name": model_name,
            "model_version": model_version,
            "selected_at": selected_at,
        },
    )
    members_table = control("audience_members", schema)
    return replace_rows(warehouse, members_table, ("audience", audience), [rows])


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
            f" (select 1 from {kept.sql()} k where k.customer_id = {table.sql()}.customer_id)"
            if warehouse.transactional
            # Tables of Delta take no correlated query in a DELETE.
            else f"merge into {table.sql()} as t using {kept.sql()} as k"
            " on t.customer_id = k.customer_id"
            f" when not matched by source and {condition} then delete",
            parameters,
        )
        warehouse.execute(f"drop table {kept.sql()}")
    return erased


def _stamped(batch: pa.Table, constants: Mapping[str, Any]) -> pa.Table:
    _refuse_unusable(batch)
    rows = batch.select(["customer_id", "score"])
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

"""Loads raw Parquet tables into a brand's DuckDB file, and withdraws consents there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fed_audience.errors import DataError, ResourceError
from fed_audience.warehouse.duckdb import DuckDbWarehouse
from fed_audience.warehouse.protocol import Relation

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

RAW_SCHEMA = "raw"


def load_raw(raw_folder: Path, duckdb_path: Path) -> dict[str, int]:
    """Load `<raw_folder>/*.parquet` into schema ``raw`` of a new DuckDB file; returns row counts.

    The file appears when it is complete and replaces an earlier one. Raises DataError when
    there is no Parquet file and ResourceError when the DuckDB file cannot be written.
    """
    files = sorted(raw_folder.glob("*.parquet"))
    if not files:
        raise DataError(
            "no raw tables to load",
            looked=f"{raw_folder}/*.parquet",
            fix="generate the brands first, or give the folder that holds the Parquet files",
        )
    unfinished = duckdb_path.with_name(f"{duckdb_path.name}.unfinished")
    rows = {}
    try:
        duckdb_path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.unlink(missing_ok=True)
        warehouse = DuckDbWarehouse(unfinished, create=True)
        with warehouse.transaction():
            warehouse.execute(f"create schema {RAW_SCHEMA}")
            for file in files:
                # A statement that creates a relation takes no parameters.
                source = str(file).replace("'", "''")
                relation = Relation(RAW_SCHEMA, file.stem)
                rows[file.stem] = warehouse.execute(
                    f"create table {relation.sql()} as select * from read_parquet('{source}')"
                )
        warehouse.close()
        unfinished.replace(duckdb_path)
    except OSError as error:
        raise ResourceError(
            "the brand's DuckDB file cannot be written",
            value=error.strerror,
            looked=str(duckdb_path),
            fix="choose a folder that you may write to, with room for the raw tables",
        ) from error
    finally:
        if unfinished.exists():
            unfinished.unlink()
    return rows


def withdraw(
    duckdb_path: Path, customer_ids: Sequence[str], purposes: Sequence[str], at: datetime
) -> int:
    """Append a withdrawal of ``purposes`` by every identity of these customers; returns events.

    ``at`` (naive UTC) is when they acted and when the brand's server recorded it. Raises
    DataError when a customer has no identity to speak through.
    """
    warehouse = DuckDbWarehouse(duckdb_path)
    people = sorted(set(customer_ids))
    with warehouse.transaction():
        known = warehouse.query(
            "select count(distinct customer_id) as people from raw.identity_map"
            " where customer_id in (select unnest(?))",
            [people],
        )["people"][0].as_py()
        if known != len(people):
            raise DataError(
                "some customers have no identity that could withdraw",
                value=f"{len(people) - known} of {len(people)}",
                looked="raw.identity_map",
                fix="name customers of this brand",
            )
        events = warehouse.execute(
            "insert into raw.consent_events by name"
            " select 'withdrawn-' || md5(concat_ws('|', m.source_system, m.source_id, p.purpose,"
            " ?::timestamp)) as consent_event_id, m.source_system, m.source_id, p.purpose,"
            " 'withdrawn' as status, 'consent' as legal_basis, m.jurisdiction,"
            " ?::timestamp as effective_at, ?::timestamp as recorded_at, 'server' as time_trust,"
            " 'preference_centre' as method, ?::timestamp as _loaded_at"
            " from (select i.source_system, i.source_id,"
            " coalesce(max_by(e.jurisdiction, e.recorded_at), 'ZZ') as jurisdiction"
            " from raw.identity_map i left join raw.consent_events e"
            " using (source_system, source_id)"
            " where i.customer_id in (select unnest(?)) group by all) m"
            " cross join (select unnest(?) as purpose) p",
            [at, at, at, at, people, sorted(set(purposes))],
        )
    warehouse.close()
    return events

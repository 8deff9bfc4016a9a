"""Raw tables arrive in DuckDB whole or not at all; withdrawals reach every identity."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from fed_audience.demo.generate import DemoData
from fed_audience.demo.loading import load_raw, withdraw
from fed_audience.errors import DataError, ResourceError

AT = datetime(2026, 9, 30, 23, 30)  # noqa: DTZ001 - warehouse timestamps are naive UTC


def rows(path: Path, sql: str) -> list[Any]:
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute(sql).fetchall()


@pytest.fixture
def warehouse(brands: DemoData, tmp_path: Path) -> Path:
    path = tmp_path / "travel.duckdb"
    load_raw(brands.brands[2].raw, path)
    return path


def test_every_row_and_type_arrives(brands: DemoData, tmp_path: Path) -> None:
    travel = brands.brands[2]
    path = tmp_path / "new" / "travel.duckdb"
    assert load_raw(travel.raw, path) == dict(travel.rows)
    types = dict(
        rows(
            path,
            "select table_name || '.' || column_name, data_type from duckdb_columns()"
            " where schema_name = 'raw'",
        )
    )
    assert types["orders.gross"] == "DOUBLE"
    assert types["orders.ordered_at"] == types["events._loaded_at"] == "TIMESTAMP"
    assert types["customers.birth_year"] == "INTEGER"
    assert types["customers.country"] == types["orders.customer_id"] == "VARCHAR"
    assert types["consent_events.is_minor"] == "BOOLEAN"
    assert [file.name for file in path.parent.iterdir()] == ["travel.duckdb"]


def test_loading_again_replaces_the_warehouse(brands: DemoData, warehouse: Path) -> None:
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute("create table leftover as select 1")
    load_raw(brands.brands[2].raw, warehouse)
    assert rows(
        warehouse, "select count(*) from duckdb_tables() where table_name = 'leftover'"
    ) == [(0,)]


def test_an_empty_folder_is_refused_and_the_old_warehouse_stays(
    warehouse: Path, tmp_path: Path
) -> None:
    before = warehouse.read_bytes()
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no raw tables"):
        load_raw(tmp_path / "empty", warehouse)
    assert warehouse.read_bytes() == before


def test_a_folder_that_is_a_file_is_one_clear_error(brands: DemoData, tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("mine")
    with pytest.raises(ResourceError, match="cannot be written"):
        load_raw(brands.brands[2].raw, blocked / "travel.duckdb")
    assert blocked.read_text() == "mine"


def test_a_withdrawal_is_said_by_every_identity_for_every_purpose(warehouse: Path) -> None:
    people = [
        row[0]
        for row in rows(
            warehouse,
            "select customer_id from raw.identity_map group by 1 having count(*) >= 3"
            " order by 1 limit 4",
        )
    ]
    before = rows(warehouse, "select count(*) from raw.consent_events")[0][0]
    events = withdraw(warehouse, people, ["train", "activate:email"], AT)
    found = rows(
        warehouse,
        "select m.customer_id, count(distinct (source_system, source_id)),"
        " count(distinct (source_system, source_id, purpose)), count(distinct consent_event_id)"
        " from raw.consent_events c join raw.identity_map m using (source_system, source_id)"
        " where c.status = 'withdrawn' and c.time_trust = 'server' and c.jurisdiction is not null"
        f" and c.effective_at = timestamp '{AT}' and c.recorded_at = timestamp '{AT}'"
        f" and m.customer_id in ({', '.join(repr(person) for person in people)}) group by 1",
    )
    assert {row[0] for row in found} == set(people)
    assert all(row[1] >= 3 and row[2] == 2 * row[1] and row[3] == 2 * row[1] for row in found)
    after = rows(warehouse, "select count(*) from raw.consent_events")[0][0]
    assert after == before + events == before + sum(row[2] for row in found)


def test_a_stranger_withdraws_nothing(warehouse: Path) -> None:
    person = rows(warehouse, "select min(customer_id) from raw.customers")[0][0]
    before = rows(warehouse, "select count(*) from raw.consent_events")
    with pytest.raises(DataError, match="1 of 2"):
        withdraw(warehouse, [person, "nobody"], ["train"], AT)
    assert rows(warehouse, "select count(*) from raw.consent_events") == before

"""Macros whose SQL differs by engine give the same on each, without dbt's seconds."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from fed_audience.warehouse.protocol import Warehouse
from tests.dbt_package.rendering import package

TEXT = {"duckdb": "VARCHAR", "postgres": "character varying(256)"}
ZONED = {"duckdb": "TIMESTAMP WITH TIME ZONE", "postgres": "timestamp with time zone"}


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-06-01 12:30:15.25", datetime(2026, 6, 1, 12, 30, 15, 250_000)),  # noqa: DTZ001 - UTC
        ("2026-06-01T12:30:15Z", datetime(2026, 6, 1, 12, 30, 15)),  # noqa: DTZ001
        ("2026-06-01T14:30:15+02:00", datetime(2026, 6, 1, 12, 30, 15)),  # noqa: DTZ001
        ("2026-06-01 07:00:15 -0530", datetime(2026, 6, 1, 12, 30, 15)),  # noqa: DTZ001
        ("2026-06-01", datetime(2026, 6, 1)),  # noqa: DTZ001
        (None, None),
    ],
)
def test_text_becomes_utc_and_keeps_its_offset(
    empty_warehouse: Warehouse, text: str | None, instant: datetime | None
) -> None:
    kind = TEXT[empty_warehouse.dialect]
    cast = package(empty_warehouse.dialect).in_utc("t.said_at", kind)
    empty_warehouse.execute("create table main.t (said_at varchar)")
    empty_warehouse.execute("insert into main.t values (?)", [text])
    found = empty_warehouse.query(f"select {cast} as said_at from main.t as t")
    assert found["said_at"].to_pylist() == [instant]


def test_a_zoned_column_becomes_utc(empty_warehouse: Warehouse) -> None:
    cast = package(empty_warehouse.dialect).in_utc("t.said_at", ZONED[empty_warehouse.dialect])
    empty_warehouse.execute("create table main.t (said_at timestamp with time zone)")
    empty_warehouse.execute("insert into main.t values ('2026-06-01 14:30:00+02:00')")
    found = empty_warehouse.query(f"select {cast} as said_at from main.t as t")
    assert found["said_at"].to_pylist() == [datetime(2026, 6, 1, 12, 30)]  # noqa: DTZ001 - UTC


def test_days_are_whole_microseconds_over_a_day(empty_warehouse: Warehouse) -> None:
    between = package(empty_warehouse.dialect).days_between(
        "timestamp '2026-01-01 00:00:00'", "timestamp '2026-03-01 12:00:00.123457'"
    )
    found = empty_warehouse.query(f"select {between} as days")
    assert found["days"].to_pylist() == [(59.5 * 86_400_000_000 + 123_457) / 86_400_000_000]


def test_now_is_in_utc(empty_warehouse: Warehouse) -> None:
    found = empty_warehouse.query(f"select {package(empty_warehouse.dialect).utc_now()} as now")
    now = found["now"][0].as_py()
    assert abs((datetime.now(UTC).replace(tzinfo=None) - now).total_seconds()) < 60


def test_text_is_ordered_by_code_points(empty_warehouse: Warehouse) -> None:
    ordered = package(empty_warehouse.dialect).in_byte_order("t.name")
    empty_warehouse.execute("create table main.t as select 'a' as name where false")
    for name in ("b", "A", "a", "B", "é", "_"):
        empty_warehouse.execute("insert into main.t values (?)", [name])
    found = empty_warehouse.query(f"select name from main.t as t order by {ordered}")
    assert found["name"].to_pylist() == sorted(["b", "A", "a", "B", "é", "_"])

"""Macros whose SQL differs by engine give the same on each, without dbt's seconds."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import jinja2
import pytest

from fed_audience.warehouse.dbt import package_path
from fed_audience.warehouse.protocol import Warehouse

FILES = ("time/instants", "staging/staged", "text/in_byte_order")
TEXT = {"duckdb": "VARCHAR", "postgres": "character varying(256)"}
ZONED = {"duckdb": "TIMESTAMP WITH TIME ZONE", "postgres": "timestamp with time zone"}


def macros(dialect: str) -> Any:
    """Render the package's macros with what they use of dbt in place."""
    package = SimpleNamespace()
    context: dict[str, Any] = {
        "fed_audience": package,
        "return": lambda text: text,
        "var": lambda _name, default=None: default,
        "dbt": SimpleNamespace(type_timestamp=lambda: "timestamp"),
        "adapter": SimpleNamespace(dispatch=lambda name, _package: chosen(package, dialect, name)),
    }
    # SQL is no markup: nothing is escaped.
    environment = jinja2.Environment(
        autoescape=jinja2.select_autoescape(default_for_string=False), extensions=["jinja2.ext.do"]
    )
    for file in FILES:
        text = (package_path() / f"macros/{file}.sql").read_text(encoding="utf-8")
        module: Any = environment.from_string(text, context).make_module(context)
        vars(package).update(vars(module))
    return package


def chosen(package: SimpleNamespace, dialect: str, name: str) -> Any:
    found = vars(package)
    return found.get(f"{dialect}__{name}") or found[f"default__{name}"]


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
    cast = macros(empty_warehouse.dialect).in_utc("t.said_at", kind)
    empty_warehouse.execute("create table main.t (said_at varchar)")
    empty_warehouse.execute("insert into main.t values (?)", [text])
    found = empty_warehouse.query(f"select {cast} as said_at from main.t as t")
    assert found["said_at"].to_pylist() == [instant]


def test_a_zoned_column_becomes_utc(empty_warehouse: Warehouse) -> None:
    cast = macros(empty_warehouse.dialect).in_utc("t.said_at", ZONED[empty_warehouse.dialect])
    empty_warehouse.execute("create table main.t (said_at timestamp with time zone)")
    empty_warehouse.execute("insert into main.t values ('2026-06-01 14:30:00+02:00')")
    found = empty_warehouse.query(f"select {cast} as said_at from main.t as t")
    assert found["said_at"].to_pylist() == [datetime(2026, 6, 1, 12, 30)]  # noqa: DTZ001 - UTC


def test_days_are_whole_microseconds_over_a_day(empty_warehouse: Warehouse) -> None:
    between = macros(empty_warehouse.dialect).days_between(
        "timestamp '2026-01-01 00:00:00'", "timestamp '2026-03-01 12:00:00.123457'"
    )
    found = empty_warehouse.query(f"select {between} as days")
    assert found["days"].to_pylist() == [(59.5 * 86_400_000_000 + 123_457) / 86_400_000_000]


def test_now_is_in_utc(empty_warehouse: Warehouse) -> None:
    found = empty_warehouse.query(f"select {macros(empty_warehouse.dialect).utc_now()} as now")
    now = found["now"][0].as_py()
    assert abs((datetime.now(UTC).replace(tzinfo=None) - now).total_seconds()) < 60


def test_text_is_ordered_by_code_points(empty_warehouse: Warehouse) -> None:
    ordered = macros(empty_warehouse.dialect).in_byte_order("t.name")
    empty_warehouse.execute("create table main.t as select 'a' as name where false")
    for name in ("b", "A", "a", "B", "é", "_"):
        empty_warehouse.execute("insert into main.t values (?)", [name])
    found = empty_warehouse.query(f"select name from main.t as t order by {ordered}")
    assert found["name"].to_pylist() == sorted(["b", "A", "a", "B", "é", "_"])

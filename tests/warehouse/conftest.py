"""A brand's warehouse with the control tables that the dbt package creates."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fed_audience.warehouse.dbt import package_path
from fed_audience.warehouse.engines import open_warehouse
from fed_audience.warehouse.profiles import Profile
from fed_audience.warehouse.protocol import Warehouse

_CREATE = re.compile(
    r"create table if not exists \{\{ fed_audience\.control\('(\w+)'\) \}\}(.*?\n\))", re.DOTALL
)


@pytest.fixture
def brand(empty_warehouse: Warehouse) -> Warehouse:
    return with_control_tables(empty_warehouse)


@pytest.fixture
def brand_file(tmp_path: Path) -> Path:
    """A file, for tests that open it several times."""
    path = tmp_path / "brand.duckdb"
    with_control_tables(open_warehouse(Profile(path=path), create=True))
    return path


def with_control_tables(warehouse: Warehouse) -> Warehouse:
    """The tables come from the package's own DDL, so that a change of it is noticed here."""
    ddl = (package_path() / "macros" / "control" / "control_tables.sql").read_text()
    created = _CREATE.findall(ddl)
    assert len(created) == 5
    with warehouse.transaction():
        warehouse.execute("create schema if not exists fed_audience")
        for table, columns in created:
            warehouse.execute(f"create table fed_audience.{table} {columns}")
    return warehouse

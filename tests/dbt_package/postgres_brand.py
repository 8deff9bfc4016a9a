"""The brands of this folder once more, on PostgreSQL: the same raw tables, the same commands."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from fed_audience.errors import DbtError
from fed_audience.warehouse.dbt import package_path, run_dbt
from fed_audience.warehouse.duckdb import DuckDbWarehouse
from fed_audience.warehouse.postgres.target import PostgresTarget
from fed_audience.warehouse.postgres.warehouse import PostgresWarehouse
from fed_audience.warehouse.protocol import Relation
from tests.arrow_tables import create_table
from tests.postgres_server import PostgresServer

SCHEMA = "analytics"


@dataclass(frozen=True)
class PostgresBrand:
    """A brand's dbt project and its database."""

    project: Path
    target: PostgresTarget

    def warehouse(self) -> PostgresWarehouse:
        return PostgresWarehouse(self.target.model_copy(update={"search_path": SCHEMA}))

    def table(self, statement: str) -> pa.Table:
        opened = self.warehouse()
        rows = opened.query(statement)
        opened.close()
        return rows

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        return [tuple(row.values()) for row in self.table(statement).to_pylist()]

    def execute(self, statement: str) -> None:
        opened = self.warehouse()
        opened.execute(statement)
        opened.close()

    def dbt(self, *args: str, **variables: object) -> tuple[str, ...]:
        """Run dbt and return its lines."""
        lines: list[str] = []
        variables = {"fed_audience__as_of": "2025-10-01 00:00:00", **variables}
        run_dbt(self.project, args, profiles_dir=self.project, vars=variables, on_line=lines.append)
        return tuple(lines)


def copy_raw(file: Path, target: PostgresTarget) -> None:
    """Copy every table of schema `raw` from a DuckDB file."""
    source = DuckDbWarehouse(file)
    to = PostgresWarehouse(target)
    with to.transaction():
        to.execute("create schema raw")
        names = source.query("select table_name from duckdb_tables() where schema_name = 'raw'")
        for name in names["table_name"].to_pylist():
            rows = source.query(f"select * from raw.{name}")
            create_table(to, Relation("raw", str(name)), rows)
    to.close()


def write_profile(project: Path, profile: str, target: PostgresTarget) -> None:
    """Write a profiles.yml; the password stands in it, as the database lives as long as a test."""
    output = {
        "type": "postgres",
        "host": target.host,
        "port": target.port,
        "user": target.user,
        "password": target.password.get_secret_value(),
        "dbname": target.dbname,
        "schema": SCHEMA,
        "threads": 2,
    }
    profiles = {profile: {"target": "demo", "outputs": {"demo": output}}}
    (project / "profiles.yml").write_text(json.dumps(profiles))


@pytest.fixture(scope="session")
def make_postgres_brand(
    postgres: PostgresServer, make_brand: Callable[[str], Any]
) -> Callable[[str, str], PostgresBrand]:
    def make(name: str, change: str) -> PostgresBrand:
        """A new brand whose raw tables have been through ``change``."""
        brand = make_brand(name)
        if change:
            brand.execute(change)
        target = postgres.new_database()
        copy_raw(brand.warehouse, target)
        write_profile(brand.project, "brand", target)
        return PostgresBrand(brand.project, target)

    return make


@pytest.fixture(scope="session")
def on_postgres(make_postgres_brand: Callable[[str, str], PostgresBrand]) -> PostgresBrand:
    """The small brand, built once."""
    brand = make_postgres_brand("fashion_on_postgres", "")
    # Its premium seeds are those of the seed brand.
    project = brand.project / "dbt_project.yml"
    text = project.read_text(encoding="utf-8")
    assert "brand: fashion_on_postgres\n" in text
    project.write_text(text.replace("brand: fashion_on_postgres\n", "brand: fashion\n"))
    brand.dbt("build")
    return brand


@pytest.fixture(scope="session")
def package_on_postgres(
    tmp_path_factory: pytest.TempPathFactory, on_postgres: PostgresBrand
) -> Path:
    """The package as a project of its own, on the built database."""
    project = tmp_path_factory.mktemp("package_on_postgres") / "project"
    ignored = shutil.ignore_patterns("target", "logs", "dbt_packages")
    shutil.copytree(package_path(), project, ignore=ignored)
    write_profile(project, "fed_audience", on_postgres.target)
    return project


def refused(brand: PostgresBrand, *args: str) -> str:
    """Run dbt, which must fail, and return what it said."""
    with pytest.raises(DbtError) as caught:
        brand.dbt(*args)
    return str(caught.value)

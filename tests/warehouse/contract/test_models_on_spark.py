"""The package's models give on Spark what they give on DuckDB, from the same raw rows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fed_audience.warehouse.dbt import package_path
from fed_audience.warehouse.duckdb import DuckDbWarehouse
from fed_audience.warehouse.protocol import Relation, Warehouse
from fed_audience.warehouse.targets import SparkTarget
from tests.dbt_package import rendering
from tests.dbt_package.conftest import AS_OF, sql
from tests.warehouse.contract.cloud_engines import THEIR_WARNINGS, emptied_spark

pytestmark = [pytest.mark.xdist_group("engines"), pytest.mark.slow, *THEIR_WARNINGS]

SCHEMA = "analytics"
COMPARED = ("fct_customer_features", "int_consent_current", "fct_scoring_features")
TOLERANCE = 1e-9
"""Relative: both add up doubles, each in an order of its own."""


@pytest.fixture
def on_spark(spark: SparkTarget) -> Iterator[Warehouse]:
    opened = emptied_spark(spark)
    opened.execute(f"drop schema if exists {SCHEMA} cascade")
    opened.execute(f"create schema {SCHEMA}")
    yield opened
    opened.close()


@pytest.fixture
def on_duckdb(tmp_path: Path) -> Warehouse:
    """Raw tables and seeds stand in one schema, where `rendering` looks for all relations."""
    warehouse = DuckDbWarehouse(tmp_path / "shop.duckdb", create=True)
    with warehouse.transaction():
        for statement in sql("raw_world").split(";\n"):
            if statement.strip():
                warehouse.execute(statement)
        warehouse.execute(f"create schema {SCHEMA}")
        for table in raw_tables(warehouse):
            warehouse.execute(f"create table {SCHEMA}.{table} as select * from raw.{table}")
        for seed in (package_path() / "seeds").glob("*.csv"):
            read = f"select * from read_csv('{seed}', header=true)"
            warehouse.execute(f"create table {SCHEMA}.{seed.stem} as {read}")
        warehouse.execute("create schema fed_audience")
        macros = rendering.package("duckdb")
        for table in ("training_requests", "training_runs", "model_registry", "scores"):
            warehouse.execute(getattr(macros, f"create_{table}")())
        warehouse.execute(macros.create_audience_members())
    return warehouse


def raw_tables(warehouse: Warehouse) -> list[str]:
    rows = warehouse.query("select table_name from duckdb_tables() where schema_name = 'raw'")
    return [str(name) for name in rows["table_name"].to_pylist()]


def rendered(engine: str, raw: Warehouse, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Return the models to compare and all that they read, in the order of building."""
    known = {*raw_tables(raw), *(one.stem for one in (package_path() / "seeds").glob("*.csv"))}

    def columns(wanted: str, _engine: str) -> list[Any]:
        name = re.findall(r"\w+", wanted)[-1]
        found = raw.columns(Relation(SCHEMA, name)).items()
        return [SimpleNamespace(name=one, data_type=kind) for one, kind in found]

    monkeypatch.setattr(rendering, "_columns", columns)
    found = rendering.models(
        engine,
        var=lambda name, default=None: AS_OF if name == "fed_audience__as_of" else default,
        load_relation=lambda one: one if re.findall(r"\w+", str(one))[-1] in known else None,
    )
    off = {file.stem for file in package_path().rglob("*.sql") if "enabled=" in file.read_text()}
    texts = {name: text for name, text in found if name not in off and isinstance(text, str)}
    return {name: texts[name] for name in in_order(texts)}


def in_order(texts: dict[str, str]) -> list[str]:
    """Return the compared models and all that they read, each after those that it reads."""
    done: list[str] = []

    def take(name: str) -> None:
        for other in texts:
            if other not in {name, *done} and re.search(rf"\b{other}\b", texts[name]):
                take(other)
        done.append(name)

    for name in COMPARED:
        if name not in done:
            take(name)
    return done


def rows_of(warehouse: Warehouse, table: str) -> list[dict[str, Any]]:
    rows = warehouse.query(f'select * from "{SCHEMA}"."{table}"').to_pylist()
    return sorted(rows, key=lambda row: [str(row[key]) for key in list(row)[:3]])


def test_features_and_consent_are_those_of_duckdb(
    on_spark: Warehouse, on_duckdb: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds = [file.stem for file in (package_path() / "seeds").glob("*.csv")]
    for table in [*raw_tables(on_duckdb), *seeds]:
        held = on_duckdb.query(f"select * from {SCHEMA}.{table}")
        kinds = ", ".join(f"{name} {spelled(kind)}" for name, kind in columns_of(on_duckdb, table))
        on_spark.execute(f"create table {SCHEMA}.{table} ({kinds})")
        on_spark.insert(Relation(SCHEMA, table), held)
    ours = rendered("spark", on_duckdb, monkeypatch)
    theirs = rendered("duckdb", on_duckdb, monkeypatch)
    assert list(ours) == list(theirs)
    differing: dict[str, Any] = {}
    for name in ours:
        on_duckdb.execute(f"create table {SCHEMA}.{name} as {theirs[name]}")
        on_spark.execute(f"create table {SCHEMA}.{name} as {ours[name].replace('`shop`.', '')}")
        if name in COMPARED:
            differing |= differences(rows_of(on_spark, name), rows_of(on_duckdb, name), name)
    assert not differing


def differences(
    ours: list[dict[str, Any]], theirs: list[dict[str, Any]], table: str
) -> dict[str, tuple[Any, Any]]:
    """Return the columns with the first values in which the rows differ."""
    assert len(ours) == len(theirs) > 0, table
    found: dict[str, tuple[Any, Any]] = {}
    for one, other in zip(ours, theirs, strict=True):
        assert one.keys() == other.keys()
        for name, value in other.items():
            near = pytest.approx(value, rel=TOLERANCE) if isinstance(value, float) else value
            if one[name] != near:
                found.setdefault(f"{table}.{name}", (one[name], value))
    return found


def columns_of(warehouse: Warehouse, table: str) -> list[tuple[str, str]]:
    return list(warehouse.columns(Relation(SCHEMA, table)).items())


def spelled(kind: str) -> str:
    return {"VARCHAR": "string", "INTEGER": "int", "BIGINT": "bigint"}.get(kind, kind.lower())

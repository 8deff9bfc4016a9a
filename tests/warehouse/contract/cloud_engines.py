"""Engines of the cloud that run on this machine: a fake of Snowflake's server, and Spark itself.

Their drivers stand in an environment of their own (`make test-engines`); elsewhere the tests that
ask for them are skipped, visibly.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import Any

import pyarrow as pa
import pytest
from pydantic import SecretStr

from fed_audience.warehouse.engines import open_warehouse
from fed_audience.warehouse.profiles import Profile
from fed_audience.warehouse.protocol import Warehouse
from fed_audience.warehouse.targets import SnowflakeTarget, SparkTarget

THEIR_WARNINGS = [
    pytest.mark.filterwarnings(f"ignore:{begins}:{kind}")
    for begins, kind in (
        ("PySpark does not yet fully support pandas", "FutureWarning"),
        ("Arrow output on a DB-API result", "UserWarning"),
        ("", "DeprecationWarning"),
    )
]
"""What drivers and fakes say of one another, on which we have no bearing."""

HOW = "its drivers are not installed here; run `make test-engines`"

_NOT_DESCRIBED = "its DESCRIBE TABLE does not find a table that is there"
_NO_CONTROL_TABLES = "creating the control tables in a transaction, its connector waits without end"
NOT_ON_THE_FAKE = {
    "test_columns_come_in_order_and_a_missing_relation_is_named": _NOT_DESCRIBED,
    "test_the_agent_scores_as_on_duckdb_to_the_last_bit": _NOT_DESCRIBED,
    "test_a_scratch_table_is_filled_and_dropped": (
        "it makes no temporary table in schema fed_audience, which it says does not exist"
    ),
    "test_the_warehouse_scores_as_lightgbm_does": _NO_CONTROL_TABLES,
    "test_a_request_is_claimed_once_verified_and_ended": _NO_CONTROL_TABLES,
    "test_scores_are_replaced_as_a_whole_or_not_at_all": _NO_CONTROL_TABLES,
    "test_one_version_of_a_model_is_active": _NO_CONTROL_TABLES,
}
"""Tests of the contract that do not hold on the fake of Snowflake, and what stops them there."""


@contextmanager
def snowflake_server() -> Iterator[SnowflakeTarget]:
    """Serve Snowflake's protocol on loopback, out of DuckDB, to Snowflake's own connector."""
    fakesnow: Any = pytest.importorskip("fakesnow", reason=f"Snowflake: {HOW}")
    _mend_absent_instants()
    with fakesnow.server() as served:
        target = SnowflakeTarget(
            schema="main",
            account=served["account"],
            user=served["user"],
            password=SecretStr(served["password"]),
            database="shop",
            host=served["host"],
            port=served["port"],
            protocol=served["protocol"],
        )
        yield target


def emptied_snowflake(target: SnowflakeTarget) -> Warehouse:
    # A database of its own each time: the fake cannot drop a schema of the name `main`.
    own = target.model_copy(update={"database": f"shop_{token_hex(4)}"})
    warehouse = open_warehouse(Profile(type="snowflake", cloud=own, schema="main"))
    warehouse.execute(f"create database if not exists {own.database}")
    for schema in ("fed_audience", "main"):
        warehouse.execute(f"create schema if not exists {own.database}.{schema}")
    warehouse.execute(f"use schema {own.database}.main")
    return warehouse


@contextmanager
def spark_session() -> Iterator[SparkTarget]:
    """One local session of two threads; its tables are Parquet in a folder that goes with it."""
    sql: Any = pytest.importorskip("pyspark.sql", reason=f"Spark: {HOW}")
    with tempfile.TemporaryDirectory(prefix="fed-audience-spark-") as folder:
        settings: dict[str, str | bool | int | float] = {
            "spark.master": "local[2]",
            "spark.ui.enabled": "false",
            "spark.sql.shuffle.partitions": "2",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.driver.host": "127.0.0.1",
            "spark.sql.warehouse.dir": str(Path(folder) / "tables"),
            "spark.log.level": "OFF",
        }
        yield SparkTarget(schema="main", server_side_parameters=settings)
        sql.SparkSession.getActiveSession().stop()


def emptied_spark(target: SparkTarget) -> Warehouse:
    warehouse = open_warehouse(Profile(type="spark", cloud=target, schema="main"))
    for schema in ("main", "fed_audience"):
        warehouse.execute(f"drop schema if exists {schema} cascade")
        warehouse.execute(f"create schema {schema}")
    return warehouse


def _mend_absent_instants() -> None:
    """The fake sends an absent instant as 1970; Snowflake sends it as absent."""
    import fakesnow.arrow  # noqa: PLC0415 - where it is installed

    if hasattr(fakesnow.arrow, "unmended"):
        return
    fakesnow.arrow.unmended = fakesnow.arrow.timestamp_to_sf_struct

    def mended(instants: Any) -> Any:
        sent = fakesnow.arrow.unmended(instants)
        absent = pa.array(instants.is_null().to_pylist(), pa.bool_())
        fields = [sent.type.field(at) for at in range(sent.type.num_fields)]
        return pa.StructArray.from_arrays(sent.flatten(), fields=fields, mask=absent)

    fakesnow.arrow.timestamp_to_sf_struct = mended

"""A warehouse of each engine that runs here, empty, with the schemas `main` and `fed_audience`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fed_audience.warehouse.engines import open_warehouse
from fed_audience.warehouse.profiles import Profile
from fed_audience.warehouse.protocol import Warehouse
from fed_audience.warehouse.targets import SnowflakeTarget, SparkTarget
from tests.postgres_server import PostgresServer
from tests.warehouse.contract.cloud_engines import (
    NOT_ON_THE_FAKE,
    emptied_snowflake,
    emptied_spark,
    snowflake_server,
    spark_session,
)


@pytest.fixture(scope="session")
def snowflake() -> Iterator[SnowflakeTarget]:
    with snowflake_server() as target:
        yield target


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkTarget]:
    with spark_session() as target:
        yield target


@pytest.fixture(
    params=[
        "duckdb",
        "postgres",
        pytest.param("snowflake", marks=pytest.mark.xdist_group("engines")),
        pytest.param("spark", marks=pytest.mark.xdist_group("engines")),
    ]
)
def warehouse(request: pytest.FixtureRequest) -> Iterator[Warehouse]:
    if request.param == "snowflake":
        if (why := NOT_ON_THE_FAKE.get(request.function.__name__)) is not None:
            pytest.skip(f"Snowflake: not on the fake: {why}")
        opened = emptied_snowflake(request.getfixturevalue("snowflake"))
    elif request.param == "spark":
        opened = emptied_spark(request.getfixturevalue("spark"))
    else:
        if request.param == "duckdb":
            profile = Profile(path=None)
        else:
            server: PostgresServer = request.getfixturevalue("postgres")
            profile = Profile(type="postgres", postgres=server.emptied_database())
        opened = open_warehouse(profile)
        for schema in ("main", "fed_audience"):
            opened.execute(f"create schema if not exists {schema}")
    yield opened
    opened.close()


@pytest.fixture
def updating(warehouse: Warehouse) -> Warehouse:
    """A warehouse whose tables take updates; those of Spark do with Delta, which is not here."""
    if warehouse.dialect == "spark":
        pytest.skip("Spark: its Parquet tables take no UPDATE; Delta's jar is not here")
    return warehouse

"""The mappings on PostgreSQL: from the same tables of each tool the same canonical rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from fed_audience.warehouse.duckdb import DuckDbWarehouse
from fed_audience.warehouse.protocol import Relation
from tests.arrow_tables import create_table
from tests.dbt_package.mapped_brand import EVERY_TOOL, TOOLS, WITHOUT_TESTS
from tests.dbt_package.postgres_brand import PostgresBrand, write_profile
from tests.dbt_package.test_source_mappings import EXPECTED, FOLDER
from tests.same_rows import assert_same

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.dbt_package.conftest import Brand, Stage
    from tests.postgres_server import PostgresServer

RECORDS = (
    "event_params",
    "privacy_info",
    "device",
    "collected_traffic_source",
    "ecommerce",
    "items",
)


def copy_ga4(database: Path, brand: PostgresBrand) -> None:
    """Copy the export with its records as JSON, which is how they come to PostgreSQL."""
    records = ", ".join(f"to_json({name})::varchar as {name}" for name in RECORDS)
    source = DuckDbWarehouse(database)
    rows = source.query(f"select * replace ({records}) from ga4.events")
    source.close()
    warehouse = brand.warehouse()
    with warehouse.transaction():
        warehouse.execute("create schema ga4")
        create_table(warehouse, Relation("ga4", "events"), rows)
        for name in RECORDS:
            warehouse.execute(
                f"alter table ga4.events alter column {name} type jsonb using {name}::jsonb"
            )
    warehouse.close()


@pytest.fixture(scope="module")
def mapped_on_postgres(
    postgres: PostgresServer, make_brand: Callable[..., Brand], mapped: Stage
) -> PostgresBrand:
    project = make_brand("mapped_on_postgres", ()).project
    target = postgres.new_database()
    write_profile(project, "brand", target)
    brand = PostgresBrand(project, target)
    for name in (*(tool for tool in TOOLS if tool != "ga4"), "web"):
        brand.execute((FOLDER / f"{name}.sql").read_text(encoding="utf-8"))
    copy_ga4(mapped.database, brand)
    brand.dbt(
        "build",
        "--select",
        "+int_consent_ledger",
        "fed_audience.staging",
        *WITHOUT_TESTS,
        **EVERY_TOOL,
    )
    return brand


def in_order(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: repr(list(row.values())))


@pytest.mark.parametrize(("tool", "table"), EXPECTED)
def test_every_row_is_that_of_duckdb(
    mapped: Stage, mapped_on_postgres: PostgresBrand, tool: str, table: str
) -> None:
    statement = f"select * from stg_{tool}__{table}"
    names = mapped.columns(f"stg_{tool}__{table}")
    theirs = [dict(zip(names, row, strict=True)) for row in mapped.rows(statement)]
    ours = mapped_on_postgres.table(statement).to_pylist()
    assert_same(in_order(ours), in_order(theirs))


def test_states_have_their_history_there_too(mapped_on_postgres: PostgresBrand) -> None:
    assert mapped_on_postgres.rows(
        "select source_system, source_id, status from stg_cdp__consent_state_changes"
        " where source_flag = 'email_marketing' order by source_id"
    ) == [
        ("shopify", "7001", "granted"),
        ("shopify", "7002", "withdrawn"),
        ("shopify", "7003", "denied"),
        ("shopify", "7004", "granted"),
    ]

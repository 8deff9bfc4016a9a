"""Databricks: what our class asks of its SQL connector, checked against the connector's signatures.

No workspace has answered; the connection is replaced, the connector is the real one.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from unittest.mock import create_autospec

import pyarrow as pa
import pytest
from pydantic import SecretStr

from fed_audience.errors import WarehouseError
from fed_audience.warehouse.engines import open_warehouse
from fed_audience.warehouse.profiles import Profile
from fed_audience.warehouse.protocol import Relation, Warehouse
from fed_audience.warehouse.targets import DatabricksTarget
from tests.warehouse.contract.cloud_engines import HOW, THEIR_WARNINGS

client: Any = pytest.importorskip("databricks.sql.client", reason=f"Databricks: {HOW}")

pytestmark = THEIR_WARNINGS

AT = datetime(2026, 6, 1, 12)  # noqa: DTZ001 - naive and UTC, as everywhere
TARGET = DatabricksTarget(
    schema="main", host="dbc-1.example.test", http_path="/sql/1", token=SecretStr("s3cr3t")
)


@pytest.fixture
def cursor() -> Any:
    made = create_autospec(client.Cursor, instance=True)
    made.__enter__.return_value = made
    made.description = None
    return made


@pytest.fixture
def warehouse(cursor: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Warehouse]:
    connection = create_autospec(client.Connection, instance=True)
    connection.cursor.return_value = cursor
    connected: dict[str, Any] = {}

    def connect(**options: Any) -> Any:
        connected.update(options)
        return connection

    monkeypatch.setattr("databricks.sql.connect", connect)
    yield open_warehouse(Profile(type="databricks", cloud=TARGET, schema="main"))
    assert connected["access_token"] == "s3cr3t"
    assert connected["session_configuration"] == {"timezone": "UTC"}


def test_values_are_bound_natively_and_instants_are_utc(cursor: Any, warehouse: Warehouse) -> None:
    cursor.fetchall_arrow.return_value = pa.table({"n": [1]})
    warehouse.query('select cast(? as varchar) from "main"."t" where seen = ?', ["x", AT])
    cursor.execute.assert_called_once_with(
        "select cast(? as string) from `main`.`t` where seen = ?", ["x", AT.replace(tzinfo=UTC)]
    )


def test_rows_are_fetched_a_batch_at_a_time_in_our_types(cursor: Any, warehouse: Warehouse) -> None:
    rows = pa.table({"seen": pa.array([AT.replace(tzinfo=UTC)] * 5, pa.timestamp("us", "UTC"))})
    cursor.fetchmany_arrow.side_effect = [rows.slice(0, 4), rows.slice(4), rows.slice(5)]
    batches = list(warehouse.stream("select * from t", batch_rows=4))
    assert [batch.num_rows for batch in batches] == [4, 1]
    assert batches[0].schema.types == [pa.timestamp("us")]
    cursor.fetchmany_arrow.assert_called_with(4)


def test_changed_rows_are_those_that_delta_counts(cursor: Any, warehouse: Warehouse) -> None:
    cursor.description = [("num_affected_rows", "bigint", None, None, None, None, None)]
    cursor.fetchone.return_value = client.Row(num_affected_rows=1)
    assert warehouse.execute("update main.t set id = 1 where id = ?", [2]) == 1


def test_rows_are_inserted_within_the_limit_of_values(cursor: Any, warehouse: Warehouse) -> None:
    rows = pa.table({"id": list(range(300)), "name": ["x"] * 300})
    assert warehouse.insert(Relation("main", "people"), rows) == 300
    sent = [call.args for call in cursor.execute.call_args_list]
    assert [len(values) for _, values in sent] == [250, 250, 100]
    assert sent[2][0].startswith("insert into `main`.`people` (`id`, `name`) values (?, ?), (?, ?)")
    assert sent[0][1][:4] == [0, "x", 1, "x"]


def test_a_claim_that_met_another_is_tried_again(cursor: Any, warehouse: Warehouse) -> None:
    from databricks.sql.exc import ServerOperationError  # noqa: PLC0415 - where drivers are

    cursor.execute.side_effect = [
        ServerOperationError("[DELTA_CONCURRENT_APPEND] another SQLSTATE: 2D521"),
        cursor,
    ]
    assert warehouse.execute("update main.t set id = 1") == 0
    assert cursor.execute.call_count == 2


def test_a_missing_relation_and_a_bad_value(cursor: Any, warehouse: Warehouse) -> None:
    from databricks.sql.exc import ServerOperationError  # noqa: PLC0415 - where drivers are

    cursor.execute.side_effect = ServerOperationError(
        "[TABLE_OR_VIEW_NOT_FOUND] The table or view cannot be found. SQLSTATE: 42P01"
    )
    assert not warehouse.relation_exists(Relation("main", "nobody"))
    cursor.execute.side_effect = ServerOperationError(
        "[CAST_INVALID_INPUT] The value 'Ada' cannot be cast to \"INT\". SQLSTATE: 22018"
    )
    with pytest.raises(WarehouseError) as caught:
        warehouse.query("select cast(name as int) from t")
    assert "Ada" not in str(caught.value)

"""BigQuery: what our class asks of Google's client, whose calls are checked against its signatures.

No project of Google's has answered; the client's methods are replaced, the client is the real one.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from unittest.mock import create_autospec

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fed_audience.errors import WarehouseError
from fed_audience.warehouse.engines import open_warehouse
from fed_audience.warehouse.profiles import Profile
from fed_audience.warehouse.protocol import Relation, Warehouse
from fed_audience.warehouse.targets import BigQueryTarget
from tests.warehouse.contract.cloud_engines import HOW, THEIR_WARNINGS

bigquery: Any = pytest.importorskip("google.cloud.bigquery", reason=f"BigQuery: {HOW}")
pytest.importorskip("google.cloud.bigquery_storage", reason=f"BigQuery: {HOW}")

pytestmark = THEIR_WARNINGS

AT = datetime(2026, 6, 1, 12)  # noqa: DTZ001 - naive and UTC, as everywhere
TARGET = BigQueryTarget(dataset="main", project="shop", location="EU")


@pytest.fixture
def client() -> Any:
    return create_autospec(bigquery.Client, instance=True)


@pytest.fixture
def warehouse(client: Any, monkeypatch: pytest.MonkeyPatch) -> Warehouse:
    client._credentials = None
    monkeypatch.setattr("google.cloud.bigquery.Client", lambda **_: client)
    monkeypatch.setattr("google.cloud.bigquery_storage.BigQueryReadClient", lambda **_: "reader")
    return open_warehouse(Profile(type="bigquery", cloud=TARGET, schema="main"))


def answered(client: Any, rows: pa.Table) -> Any:
    job = create_autospec(bigquery.QueryJob, instance=True)
    found = create_autospec(bigquery.table.RowIterator, instance=True)
    found.to_arrow.return_value = rows
    found.to_arrow_iterable.side_effect = lambda **_: iter(rows.to_batches())
    job.result.return_value = found
    job.num_dml_affected_rows = None
    client.query.return_value = job
    return job


def test_values_are_bound_with_their_types(client: Any, warehouse: Warehouse) -> None:
    answered(client, pa.table({"n": [1]}))
    warehouse.query(
        'select ? as a, ? as b, cast("x" as varchar) from "main"."t"'
        " where c = ? and d in (select unnest(?::varchar[])) and e = ?",
        ["x", AT, 0.5, ["p", "q"], True],
    )
    (statement,), named = client.query.call_args
    assert statement == (
        "select ? as a, ? as b, cast(`x` as string) from `main`.`t`"
        " where c = ? and d in (select * from unnest(?)) and e = ?"
    )
    sent = [one.to_api_repr() for one in named["job_config"].query_parameters]
    kinds = [one["parameterType"]["type"] for one in sent]
    assert kinds == ["STRING", "TIMESTAMP", "FLOAT64", "ARRAY", "BOOL"]
    assert sent[1]["parameterValue"]["value"].startswith("2026-06-01 12:00:00")
    assert sent[1]["parameterValue"]["value"].endswith("+00:00")
    assert named["location"] == "EU"


def test_rows_stream_through_the_storage_api_in_our_types(
    client: Any, warehouse: Warehouse
) -> None:
    rows = pa.table(
        {
            "seen": pa.array([AT.replace(tzinfo=UTC)] * 5, pa.timestamp("us", "UTC")),
            "price": pa.array([1] * 5).cast(pa.decimal128(38, 9)),
        }
    )
    job = answered(client, rows)
    batches = list(warehouse.stream("select * from t", batch_rows=2))
    assert [batch.num_rows for batch in batches] == [2, 2, 1]
    assert batches[0].schema.types == [pa.timestamp("us"), pa.float64()]
    asked = job.result.return_value.to_arrow_iterable.call_args.kwargs
    assert asked == {"bqstorage_client": "reader", "max_queue_size": 2}


def test_an_insert_is_a_load_job_of_parquet(client: Any, warehouse: Warehouse) -> None:
    loaded: list[pa.Table] = []

    def load(file: Any, into: str, **_: Any) -> Any:
        assert into == "shop.main.people"
        loaded.append(pq.read_table(file))
        return create_autospec(bigquery.LoadJob, instance=True)

    client.load_table_from_file.side_effect = load
    rows = pa.table({"id": [1, 2], "seen": pa.array([AT, None], pa.timestamp("us"))})
    assert warehouse.insert(Relation("main", "people"), rows) == 2
    assert loaded[0].schema.field("seen").type.tz == "UTC"
    config = client.load_table_from_file.call_args.kwargs["job_config"]
    assert (config.source_format, config.write_disposition) == ("PARQUET", "WRITE_APPEND")
    assert warehouse.insert(Relation("main", "people"), rows.slice(0, 0)) == 0
    assert len(loaded) == 1


def test_changed_rows_are_those_that_the_job_counts(client: Any, warehouse: Warehouse) -> None:
    answered(client, pa.table({})).num_dml_affected_rows = 3
    assert warehouse.execute("delete from main.t where id = ?", [1]) == 3


def test_a_claim_that_met_another_is_tried_again(client: Any, warehouse: Warehouse) -> None:
    from google.api_core.exceptions import BadRequest  # noqa: PLC0415 - where drivers are

    job = answered(client, pa.table({}))
    job.num_dml_affected_rows = 0
    met = BadRequest("Could not serialize access to table shop:main.t due to concurrent update")
    job.result.side_effect = [met, job.result.return_value]
    assert warehouse.execute("update main.t set id = 1") == 0
    assert client.query.call_count == 2


def test_a_missing_relation_and_a_bad_value(client: Any, warehouse: Warehouse) -> None:
    from google.api_core.exceptions import BadRequest, NotFound  # noqa: PLC0415 - where drivers are

    client.get_table.side_effect = NotFound("Not found: Table shop:main.nobody")
    assert not warehouse.relation_exists(Relation("main", "nobody"))
    answered(client, pa.table({})).result.side_effect = BadRequest("Bad int64 value: Ada")
    with pytest.raises(WarehouseError) as caught:
        warehouse.query("select cast(name as int64) from t")
    assert "Ada" not in str(caught.value)

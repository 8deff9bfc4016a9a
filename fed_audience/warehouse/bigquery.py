"""A project of BigQuery: statements as query jobs, rows by the Storage API, inserts as load jobs.

Each statement stands alone; what must change together is one MERGE.
"""

from __future__ import annotations

import io
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from google.api_core.exceptions import GoogleAPIError, NotFound
from google.auth.exceptions import GoogleAuthError
from google.cloud import bigquery, bigquery_storage

from fed_audience.errors import WarehouseError
from fed_audience.warehouse.control import SCHEMA
from fed_audience.warehouse.driver_engine import DriverEngine
from fed_audience.warehouse.engine import PATIENCE_S
from fed_audience.warehouse.spelling import BIGQUERY
from fed_audience.warehouse.sqlstates import warehouse_error

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fed_audience.warehouse.protocol import Relation
    from fed_audience.warehouse.targets import BigQueryTarget

_TYPES: Final = (
    (bool, "BOOL"),
    (int, "INT64"),
    (float, "FLOAT64"),
    (datetime, "TIMESTAMP"),
    (date, "DATE"),
)
"""Python's types -> BigQuery's, the narrower first; all others are text."""

_STATES: Final = {400: "42000", 401: "28000", 403: "42501", 404: "42P01", 409: "40001"}
"""What a refusal of the API is in SQLSTATE."""

_MET_ANOTHER: Final = "due to concurrent update"


class BigQueryWarehouse(DriverEngine):
    """One client; jobs run in the location of the target."""

    dialect = "bigquery"
    temporary_schema = SCHEMA
    transactional = False
    spelling = BIGQUERY

    def __init__(self, target: BigQueryTarget, *, patience_s: float = PATIENCE_S) -> None:
        super().__init__(target.where, patience_s)
        self._target = target
        with self._said():
            self._client = _client(target)
            self._reader = bigquery_storage.BigQueryReadClient(
                credentials=self._client._credentials  # noqa: SLF001 - how the driver shares them
            )

    def insert(self, relation: Relation, rows: pa.Table) -> int:
        """Append ``rows`` by column name, as one load job of Parquet."""
        self._refuse_closed()
        if not rows.num_rows:
            return 0
        parquet = io.BytesIO()
        pq.write_table(_zoned(rows), parquet)
        config = bigquery.LoadJobConfig(
            source_format=bigquery.SourceFormat.PARQUET,
            write_disposition=bigquery.WriteDisposition.WRITE_APPEND,
        )
        project = relation.database or self._target.project
        into = f"{project}.{relation.schema}.{relation.name}"
        with self._said():
            self._client.load_table_from_file(
                parquet, into, rewind=True, location=self._target.location, job_config=config
            ).result()
        return rows.num_rows

    def close(self) -> None:
        """Let go of the client."""
        if not self._closed:
            self._closed = True
            self._client.close()

    def _all(self, text: str, values: Sequence[object]) -> pa.Table:
        with self._said():
            rows = self._job(text, values).result()
            table: pa.Table = rows.to_arrow(bqstorage_client=self._reader)
            return table

    def _pieces(
        self, text: str, values: Sequence[object], batch_rows: int
    ) -> Iterator[pa.RecordBatch]:
        del batch_rows  # the service decides how large its pieces are
        with self._said():
            rows = self._job(text, values).result()
            # Two pieces wait at most; without a limit all of them could.
            yield from rows.to_arrow_iterable(bqstorage_client=self._reader, max_queue_size=2)

    def _changed(self, statement: str, parameters: Sequence[object]) -> int:
        self._refuse_closed()
        text = self.spelling.of(statement, parameters)
        with self._said():
            job = self._job(text, parameters)
            job.result()
            return int(job.num_dml_affected_rows or 0)

    def _met_another(self, error: WarehouseError) -> bool:
        return _MET_ANOTHER in str(error.__context__)

    def _described(self, relation: Relation) -> dict[str, str]:
        self._refuse_closed()
        project = relation.database or self._target.project
        try:
            with self._said():
                table = self._client.get_table(f"{project}.{relation.schema}.{relation.name}")
        except WarehouseError as error:
            if isinstance(error.__context__, NotFound):
                return {}
            raise
        return {field.name: field.field_type.lower() for field in table.schema}

    def _begin(self) -> None: ...

    def _commit(self) -> None: ...

    def _roll_back(self) -> None: ...

    def _job(self, text: str, values: Sequence[object]) -> bigquery.QueryJob:
        config = bigquery.QueryJobConfig(query_parameters=[_parameter(value) for value in values])
        return self._client.query(text, job_config=config, location=self._target.location)

    @contextmanager
    def _said(self) -> Iterator[None]:
        try:
            yield
        except (GoogleAPIError, GoogleAuthError, OSError) as error:
            code = getattr(error, "code", None)
            state = _STATES.get(int(code), None) if code is not None else "08000"
            said = str(getattr(error, "message", error))
            # The API says what a value was, and how to see the job, in one sentence.
            speaks_of_value = "Bad " in said or "Could not " in said or "Invalid value" in said
            raise warehouse_error(
                "22000" if speaks_of_value else state, said, self._where
            ) from None


def _client(target: BigQueryTarget) -> bigquery.Client:
    place = {"project": target.project, "location": target.location}
    if target.keyfile is not None:
        return bigquery.Client.from_service_account_json(target.keyfile, **place)
    return bigquery.Client(**place)


def _parameter(value: object) -> Any:
    if isinstance(value, list):
        return bigquery.ArrayQueryParameter(None, "STRING", value)
    if isinstance(value, datetime) and value.tzinfo is None:
        value = value.replace(tzinfo=UTC)
    kind = next((name for of, name in _TYPES if isinstance(value, of)), "STRING")
    return bigquery.ScalarQueryParameter(None, kind, value)


def _zoned(rows: pa.Table) -> pa.Table:
    """Say that naive instants are UTC: without a zone, a Parquet instant is a DATETIME."""
    naive = [pa.types.is_timestamp(kind) and kind.tz is None for kind in rows.schema.types]
    columns: list[Any] = [
        column.cast(pa.timestamp("us", "UTC")) if is_naive else column
        for column, is_naive in zip(rows.columns, naive, strict=True)
    ]
    return pa.table(columns, names=rows.column_names)

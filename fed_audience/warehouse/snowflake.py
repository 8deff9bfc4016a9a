"""A database of Snowflake, through the connector that dbt-snowflake brings."""

from __future__ import annotations

import json
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import snowflake.connector
from snowflake.connector.errors import Error

from fed_audience.warehouse.control import SCHEMA
from fed_audience.warehouse.driver_engine import DriverEngine
from fed_audience.warehouse.engine import PATIENCE_S
from fed_audience.warehouse.spelling import SNOWFLAKE
from fed_audience.warehouse.sqlstates import LOST, warehouse_error

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa
    from snowflake.connector import SnowflakeConnection
    from snowflake.connector.cursor import SnowflakeCursor

    from fed_audience.warehouse.protocol import Relation
    from fed_audience.warehouse.targets import SnowflakeTarget

_ROWS_AT_ONCE: Final = 16_384
_CHANGED: Final = "number of rows "
_DDL: Final = ("create ", "drop ", "alter ", "truncate ")
_ABSENT: Final = frozenset({"42S02", "02000"})
_SESSION: Final = {
    "TIMEZONE": "UTC",
    "TIMESTAMP_TYPE_MAPPING": "TIMESTAMP_NTZ",
    "CLIENT_TELEMETRY_ENABLED": False,
}


class SnowflakeWarehouse(DriverEngine):
    """One connection, kept until ``close()``; a stream has another.

    Snowflake commits at every CREATE, ALTER and DROP. Within a transaction of ours it is begun anew
    after each, so that what follows still stands together.
    """

    dialect = "snowflake"
    temporary_schema = SCHEMA
    spelling = SNOWFLAKE
    INSTANTS_HAVE_ZONE = False
    WIDTHS_VARY = True

    def __init__(self, target: SnowflakeTarget, *, patience_s: float = PATIENCE_S) -> None:
        super().__init__(target.where, patience_s)
        self._target = target
        self._connection = self._connect()

    def insert(self, relation: Relation, rows: pa.Table) -> int:
        """Append ``rows`` by column name; the connector sends arrays, or a staged file."""
        columns = ", ".join(self.spelling.name(name) for name in rows.column_names)
        marks = ", ".join("?" * rows.num_columns)
        into = f"insert into {relation.sql()} ({columns}) values ({marks})"
        text = self.spelling.of(into, [None] * rows.num_columns)
        self._refuse_closed()
        with self._said(), self._connection.cursor() as cursor:
            for batch in rows.to_batches(_ROWS_AT_ONCE):
                values = zip(*(column.to_pylist() for column in batch.columns), strict=True)
                cursor.executemany(text, [list(row) for row in values])
        return rows.num_rows

    def close(self) -> None:
        """Let go of the connection."""
        self._closed = True
        with suppress(Error):
            self._connection.close()

    def _all(self, text: str, values: Sequence[object]) -> pa.Table:
        with self._said(), self._run(self._connection, text, values) as cursor:
            table: pa.Table = cursor.fetch_arrow_all(force_return_table=True)
            return table

    def _pieces(self, text: str, values: Sequence[object], batch_rows: int) -> Iterator[pa.Table]:
        del batch_rows  # the server decides how large its pieces are
        connection = self._connect()
        try:
            with self._said(), self._run(connection, text, values) as cursor:
                yield from cursor.fetch_arrow_batches()
        finally:
            with suppress(Error):
                connection.close()

    def _changed(self, statement: str, parameters: Sequence[object]) -> int:
        self._refuse_closed()
        text = self.spelling.of(statement, parameters)
        with self._said(), self._run(self._connection, text, parameters) as cursor:
            names = [column.name for column in cursor.description or ()]
            row = cursor.fetchone() if any(name.startswith(_CHANGED) for name in names) else None
            if self._in_transaction and text.lstrip().lower().startswith(_DDL):
                for again in ("commit", "begin"):
                    cursor.execute(again)
        counted = zip(names, row or (), strict=False)
        return sum(int(count) for name, count in counted if name.startswith(_CHANGED))

    def _described(self, relation: Relation) -> dict[str, str]:
        self._refuse_closed()
        text = self.spelling.of(f"describe table {relation.sql()}")
        try:
            with self._run(self._connection, text, ()) as cursor:
                return {
                    self.spelling.unfolded(str(row[0])): str(row[1]).lower()
                    for row in cursor.fetchall()
                }
        except Error as error:
            if error.sqlstate in _ABSENT:
                return {}
            raise self._error(error) from None

    def _begin(self) -> None:
        self._execute("begin")

    def _commit(self) -> None:
        self._execute("commit")

    def _roll_back(self) -> None:
        # A connection that broke has nothing left to roll back.
        with suppress(Error), self._connection.cursor() as cursor:
            cursor.execute("rollback")

    def _execute(self, text: str) -> None:
        self._refuse_closed()
        with self._said(), self._connection.cursor() as cursor:
            cursor.execute(text)

    @contextmanager
    def _run(
        self, connection: SnowflakeConnection, text: str, values: Sequence[object]
    ) -> Iterator[SnowflakeCursor]:
        bound = [json.dumps(value) if isinstance(value, list) else value for value in values]
        with connection.cursor() as cursor:
            cursor.execute(text, bound or None)
            yield cursor

    def _connect(self) -> SnowflakeConnection:
        tag = {"QUERY_TAG": self._target.query_tag} if self._target.query_tag else {}
        options: dict[str, Any] = self._target.connection_options()
        with self._said():
            return snowflake.connector.connect(
                **options,
                application="fed_audience",
                paramstyle="qmark",
                autocommit=True,
                session_parameters={**_SESSION, **tag},
            )

    @contextmanager
    def _said(self) -> Iterator[None]:
        try:
            yield
        except Error as error:
            raise self._error(error) from None

    def _error(self, error: Error) -> Exception:
        # The connector puts its number before what the server said, and the line that says it
        # after a heading.
        lines = [line for line in (error.raw_msg or str(error)).splitlines() if line.strip()]
        said = (
            " ".join(lines[:2]) if lines and lines[0].rstrip().endswith(":") else "".join(lines[:1])
        )
        state = error.sqlstate if error.sqlstate not in {None, "n/a"} else LOST
        return warehouse_error(state, said, self._where)

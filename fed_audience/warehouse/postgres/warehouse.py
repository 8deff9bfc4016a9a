"""A PostgreSQL database that dbt, the agent and the console use at the same time."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import adbc_driver_manager
import adbc_driver_postgresql.dbapi  # type: ignore[import-untyped] # ships none
import psycopg
import pyarrow as pa
from psycopg import conninfo, sql

from fed_audience.errors import WarehouseError
from fed_audience.warehouse.engine import PATIENCE_S, Engine
from fed_audience.warehouse.postgres.arrow_types import (
    cast_for_stream,
    csv_of_table,
    schema_of,
    table_of_csv,
)
from fed_audience.warehouse.postgres.failures import in_one_line, reading_error
from fed_audience.warehouse.postgres.placeholders import composed, numbered
from fed_audience.warehouse.protocol import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from psycopg import Column

    from fed_audience.warehouse.postgres.target import PostgresTarget
    from fed_audience.warehouse.protocol import Relation


class PostgresWarehouse(Engine):
    """One database. A connection is made when it is first needed and kept until ``close()``."""

    dialect = "postgres"
    temporary_schema = "pg_temp"
    MET_ANOTHER = (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected)

    def __init__(self, target: PostgresTarget, *, patience_s: float = PATIENCE_S) -> None:
        super().__init__(target.where, patience_s)
        self._target = target
        self._connection: psycopg.Connection[Any] | None = None
        with self._working():
            pass

    def query(self, statement: str, parameters: Sequence[object] = ()) -> pa.Table:
        """Run one SELECT and return all of its rows."""
        bound = composed(statement, parameters)
        with self._working() as connection, connection.cursor() as cursor:
            schema = schema_of(_described(cursor, bound))
            sink = pa.BufferOutputStream()
            copying = sql.SQL("copy ({}\n) to stdout (format csv)").format(bound)
            with cursor.copy(copying) as copy:
                for block in copy:
                    sink.write(block)
        return table_of_csv(sink.getvalue(), schema)

    def stream(
        self, statement: str, parameters: Sequence[object] = (), *, batch_rows: int = 16_384
    ) -> Iterator[pa.RecordBatch]:
        """Yield the committed rows of one SELECT over a connection of its own."""
        self._refuse_closed()
        with self._connected() as connection, connection.cursor() as cursor:
            bound = composed(statement, parameters)
            columns = _described(cursor, bound)
            text = _castable(bound, columns).as_string(cursor)
        schema = schema_of(columns)
        with self._reading(text) as batches:
            for batch in batches:
                named = pa.record_batch(batch.columns, names=schema.names).cast(schema)
                for start in range(0, named.num_rows, batch_rows):
                    yield named.slice(start, batch_rows)

    def insert(self, relation: Relation, rows: pa.Table) -> int:
        """Append ``rows`` by column name."""
        names = ", ".join(quoted(name) for name in rows.column_names)
        into = f"copy {relation.sql()} ({names}) from stdin (format csv)"
        with (
            self._working() as connection,
            connection.cursor() as cursor,
            cursor.copy(sql.SQL(into)) as copy,
        ):
            for block in csv_of_table(rows):
                copy.write(memoryview(block))
        return rows.num_rows

    def close(self) -> None:
        """Let go of the connection."""
        self._closed = True
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _described(self, relation: Relation) -> dict[str, str]:
        rows = self.query(
            "select a.attname::text as name, format_type(a.atttypid, a.atttypmod) as type"
            " from pg_attribute a join pg_class c on c.oid = a.attrelid"
            " join pg_namespace n on n.oid = c.relnamespace"
            " where n.nspname = ? and c.relname = ? and c.relkind in ('r', 'v', 'm', 'f', 'p')"
            " and current_database() = coalesce(?, current_database())"
            " and a.attnum > 0 and not a.attisdropped order by a.attnum",
            [relation.schema, relation.name, relation.database],
        ).to_pylist()
        return {row["name"]: row["type"] for row in rows}

    def _changed(self, statement: str, parameters: Sequence[object]) -> int:
        with self._working() as connection:
            cursor = psycopg.RawCursor(connection)
            cursor.execute(numbered(statement, parameters), list(parameters))
            return 0 if cursor.description else max(cursor.rowcount, 0)

    def _begin(self) -> None:
        with self._working() as connection:
            connection.execute("begin")

    def _commit(self) -> None:
        with in_one_line(self._where):
            done = self._held().execute("commit").statusmessage
        if done != "COMMIT":
            raise WarehouseError(
                "a statement in the transaction had failed, so all of it was undone",
                looked=self._where,
                fix="mend what the failed statement said; nothing was changed",
            )

    def _roll_back(self) -> None:
        if self._connection is not None:
            with suppress(psycopg.Error):
                self._connection.execute("rollback")

    def _held(self) -> psycopg.Connection[Any]:
        if self._connection is None:
            raise WarehouseError(
                "the warehouse was closed inside a transaction, which was undone",
                looked=self._where,
                fix="run this again",
            )
        return self._connection

    @contextmanager
    def _working(self) -> Iterator[psycopg.Connection[Any]]:
        self._refuse_closed()
        with in_one_line(self._where):
            lost = self._connection is not None and self._connection.closed
            if self._connection is None or (lost and not self._in_transaction):
                self._connection = self._connect()
            yield self._connection

    @contextmanager
    def _connected(self) -> Iterator[psycopg.Connection[Any]]:
        with in_one_line(self._where), self._connect() as connection:
            yield connection

    def _connect(self) -> psycopg.Connection[Any]:
        options: dict[str, Any] = self._target.connection_options()
        connection = psycopg.connect(**options, autocommit=True)
        for setting in self._settings(connection):
            connection.execute(setting)
        return connection

    def _settings(self, connection: psycopg.Connection[Any]) -> list[bytes]:
        """Statements, not options of the connection: a pooler in between accepts only those."""
        settings = [
            sql.SQL("set time zone 'UTC'"),
            sql.SQL("set datestyle to 'ISO'"),
            sql.SQL("set bytea_output to 'hex'"),
        ]
        return [setting.as_bytes(connection) for setting in settings] + self._of_the_target()

    def _of_the_target(self) -> list[bytes]:
        role, path = self._target.role, self._target.search_path
        settings = [f"set role {quoted(role)}".encode()] if role else []
        return settings + ([f"set search_path to {path}".encode()] if path else [])

    @contextmanager
    def _reading(self, statement: str) -> Iterator[pa.RecordBatchReader]:
        options = conninfo.make_conninfo("", **self._target.connection_options())
        try:
            with (
                adbc_driver_postgresql.dbapi.connect(options, autocommit=True) as connection,
                connection.cursor() as cursor,
            ):
                for setting in ("set time zone 'UTC'", *map(bytes.decode, self._of_the_target())):
                    cursor.execute(setting)
                cursor.execute(statement)
                with cursor.fetch_record_batch() as batches:
                    yield batches
        except (adbc_driver_manager.Error, pa.ArrowException, OSError) as error:
            raise reading_error(error, self._where) from None


def _described(cursor: psycopg.Cursor[Any], bound: sql.Composed) -> list[Column]:
    """Ask the server for the columns of a SELECT without running it."""
    cursor.execute(sql.SQL("select * from ({}\n) as described limit 0").format(bound))
    return list(cursor.description or ())


def _castable(bound: sql.Composed, columns: Sequence[Column]) -> sql.Composable:
    """Wrap a SELECT so that the server casts what the driver has no simple type for."""
    casts = [cast_for_stream(column) for column in columns]
    if not any(casts):
        return bound
    names = [sql.Identifier(f"c{place}") for place in range(len(columns))]
    chosen = [
        name if cast is None else sql.SQL("cast({} as {})").format(name, sql.SQL(cast))
        for name, cast in zip(names, casts, strict=True)
    ]
    return sql.SQL("select {} from ({}\n) as streamed ({})").format(
        sql.SQL(", ").join(chosen), bound, sql.SQL(", ").join(names)
    )

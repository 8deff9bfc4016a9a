"""A SQL warehouse or cluster of Databricks, through its own SQL connector.

Each statement stands alone; what must change together is one MERGE, and two that meet on the same
rows of a Delta table are decided by the table.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import databricks.sql
from databricks.sql.exc import Error

from fed_audience.errors import WarehouseError
from fed_audience.warehouse.control import SCHEMA
from fed_audience.warehouse.driver_engine import DriverEngine
from fed_audience.warehouse.engine import PATIENCE_S
from fed_audience.warehouse.spelling import SPARK
from fed_audience.warehouse.sqlstates import LOST, warehouse_error

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa
    from databricks.sql.client import Connection, Cursor

    from fed_audience.warehouse.protocol import Relation
    from fed_audience.warehouse.targets import DatabricksTarget

_VALUES_AT_ONCE: Final = 250
"""Values bound to one statement; the service takes 256."""

_CHANGED: Final = ("num_affected_rows", "num_inserted_rows")
_ABSENT: Final = ("TABLE_OR_VIEW_NOT_FOUND", "SCHEMA_NOT_FOUND")
_MET_ANOTHER: Final = ("DELTA_CONCURRENT_", "ConcurrentAppendException", "ConcurrentDelete")
_SESSION: Final = {"timezone": "UTC"}


class DatabricksWarehouse(DriverEngine):
    """One connection, kept until ``close()``; a stream has a cursor of its own."""

    dialect = "databricks"
    temporary_schema = SCHEMA
    transactional = False
    spelling = SPARK

    def __init__(self, target: DatabricksTarget, *, patience_s: float = PATIENCE_S) -> None:
        super().__init__(target.where, patience_s)
        self._target = target
        with self._said():
            self._connection: Connection = databricks.sql.connect(
                server_hostname=target.host,
                http_path=target.http_path,
                access_token=target.token.get_secret_value(),
                catalog=target.catalog,
                schema=target.schema_,
                session_configuration=dict(_SESSION),
                user_agent_entry="fed-audience",
                enable_telemetry=False,
            )

    def insert(self, relation: Relation, rows: pa.Table) -> int:
        """Append ``rows`` by column name, some at a time: the driver has no bulk insert."""
        self._refuse_closed()
        width = rows.num_columns
        columns = ", ".join(self.spelling.name(name) for name in rows.column_names)
        row = f"({', '.join('?' * width)})"
        for batch in rows.to_batches(max(_VALUES_AT_ONCE // width, 1)):
            values = [value for one in batch.to_pylist() for value in one.values()]
            into = f"insert into {relation.sql()} ({columns}) values "
            self.execute(into + ", ".join([row] * batch.num_rows), values)
        return rows.num_rows

    def close(self) -> None:
        """Let go of the connection."""
        self._closed = True
        with suppress(Error):
            self._connection.close()

    def _all(self, text: str, values: Sequence[object]) -> pa.Table:
        with self._said(), self._run(text, values) as cursor:
            table: pa.Table = cursor.fetchall_arrow()
            return table

    def _pieces(self, text: str, values: Sequence[object], batch_rows: int) -> Iterator[pa.Table]:
        with self._said(), self._run(text, values) as cursor:
            while (rows := cursor.fetchmany_arrow(batch_rows)).num_rows:
                yield rows

    def _changed(self, statement: str, parameters: Sequence[object]) -> int:
        self._refuse_closed()
        text = self.spelling.of(statement, parameters)
        with self._said(), self._run(text, parameters) as cursor:
            names = [column[0] for column in cursor.description or ()]
            counted = [names.index(name) for name in _CHANGED if name in names]
            row = cursor.fetchone() if counted else None
            return int(row[counted[0]]) if row else 0

    def _met_another(self, error: WarehouseError) -> bool:
        return any(words in str(error.__context__) for words in _MET_ANOTHER)

    def _described(self, relation: Relation) -> dict[str, str]:
        self._refuse_closed()
        text = self.spelling.of(f"describe table {relation.sql()}")
        try:
            with self._said(), self._run(text, ()) as cursor:
                rows = cursor.fetchall()
        except WarehouseError as error:
            if any(words in str(error.__context__) for words in _ABSENT):
                return {}
            raise
        # What is said of partitions stands after the columns, under a heading.
        end = next((at for at, row in enumerate(rows) if str(row[0])[:1] in {"", "#"}), len(rows))
        return {str(row[0]): str(row[1]) for row in rows[:end]}

    def _begin(self) -> None: ...

    def _commit(self) -> None: ...

    def _roll_back(self) -> None: ...

    @contextmanager
    def _run(self, text: str, values: Sequence[object]) -> Iterator[Cursor]:
        with self._connection.cursor() as cursor:
            cursor.execute(text, [_zoned(value) for value in values] or None)
            yield cursor

    @contextmanager
    def _said(self) -> Iterator[None]:
        try:
            yield
        except (Error, OSError) as error:
            said = str(error)
            found = said.rpartition("SQLSTATE: ")[2][:5] if "SQLSTATE: " in said else None
            raise warehouse_error(found or LOST, said, self._where) from None


def _zoned(value: object) -> Any:
    """Say that a naive instant is UTC; the driver sends it without a zone otherwise."""
    if isinstance(value, datetime) and value.tzinfo is None:
        return value.replace(tzinfo=UTC)
    return value

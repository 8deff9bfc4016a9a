"""Apache Spark: a session in this process, as dbt-spark's `method: session`, or Spark Connect.

Spark has no transactions. What is updated must be a table of Delta or Iceberg, where each statement
stands alone; of two that meet on the same rows the table lets one through, the other runs again.
"""

from __future__ import annotations

import logging
import os
import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from fed_audience.warehouse.control import SCHEMA
from fed_audience.warehouse.driver_engine import DriverEngine
from fed_audience.warehouse.engine import PATIENCE_S
from fed_audience.warehouse.spelling import SPARK
from fed_audience.warehouse.sqlstates import LOST, warehouse_error

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pyspark.sql import DataFrame

    from fed_audience.errors import WarehouseError
    from fed_audience.warehouse.protocol import Relation
    from fed_audience.warehouse.targets import SparkTarget

_ABSENT: Final = frozenset({"42P01", "42704"})
_MET_ANOTHER: Final = "DELTA_CONCURRENT_"
_CHANGED: Final = ("num_affected_rows", "num_inserted_rows")
_REMOTE: Final = "sc://"


class SparkWarehouse(DriverEngine):
    """One session, shared with whoever else uses Spark in this process; ``close()`` leaves it."""

    dialect = "spark"
    temporary_schema = SCHEMA
    transactional = False
    spelling = SPARK

    def __init__(self, target: SparkTarget, *, patience_s: float = PATIENCE_S) -> None:
        super().__init__(target.where, patience_s)
        # Its lines hold the values that a statement stumbled over.
        logging.getLogger("SQLQueryContextLogger").disabled = True
        # Beside the executors of a local session runs this Python, not the first on the path.
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        with self._said():
            self._spark = _session(target)
            self._spark.conf.set("spark.sql.session.timeZone", "UTC")

    def insert(self, relation: Relation, rows: pa.Table) -> int:
        """Append ``rows`` by column name."""
        self._refuse_closed()
        if not rows.num_rows:
            return 0
        view = f"{self.temporary('fed_audience_rows').name}_view"
        columns = ", ".join(self.spelling.name(name) for name in rows.column_names)
        text = f"insert into {relation.sql()} ({columns}) select {columns} from {view}"
        with self._said():
            self._spark.createDataFrame(_plain(rows)).createOrReplaceTempView(view)
            try:
                self._spark.sql(self.spelling.of(text))
            finally:
                self._spark.catalog.dropTempView(view)
        return rows.num_rows

    def close(self) -> None:
        """Leave the session to whoever else uses it."""
        self._closed = True

    def _all(self, text: str, values: Sequence[object]) -> pa.Table:
        with self._said():
            rows: pa.Table = self._sql(text, values).toArrow()
            return rows

    def _pieces(
        self, text: str, values: Sequence[object], batch_rows: int
    ) -> Iterator[pa.RecordBatch]:
        """Yield a partition at a time, each batch as the bytes that the executors made of it.

        They need pyarrow, as for any function over pandas.
        """
        with self._said():
            self._spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", str(batch_rows))
            packed = self._sql(text, values).mapInArrow(_packing(), "batch binary")
            for row in packed.toLocalIterator():
                yield from pa.ipc.open_stream(bytes(row[0]))

    def _changed(self, statement: str, parameters: Sequence[object]) -> int:
        self._refuse_closed()
        text = self.spelling.of(statement, parameters)
        with self._said():
            result = self._sql(text, parameters)
            counted = [name for name in _CHANGED if name in result.columns]
            # Delta says how many rows it changed; other tables only take whole rows.
            return int(result.collect()[0][counted[0]]) if counted else 0

    def _met_another(self, error: WarehouseError) -> bool:
        met = error.__context__
        return isinstance(met, PySparkException) and (met.getCondition() or "").startswith(
            _MET_ANOTHER
        )

    def _described(self, relation: Relation) -> dict[str, str]:
        self._refuse_closed()
        text = self.spelling.of(f"describe table {relation.sql()}")
        try:
            rows = self._sql(text, ()).collect()
        except PySparkException as error:
            if error.getSqlState() in _ABSENT:
                return {}
            raise self._error(error) from None
        # What is said of partitions stands after the columns, under a heading.
        names = [str(row["col_name"]) for row in rows]
        end = next((at for at, name in enumerate(names) if name[:1] in {"", "#"}), len(names))
        return {str(row["col_name"]): str(row["data_type"]) for row in rows[:end]}

    def _begin(self) -> None: ...

    def _commit(self) -> None: ...

    def _roll_back(self) -> None: ...

    def _sql(self, text: str, values: Sequence[object]) -> DataFrame:
        return self._spark.sql(text, args=[_zoned(value) for value in values] or None)

    @contextmanager
    def _said(self) -> Iterator[None]:
        try:
            yield
        except (PySparkException, Py4JError, OSError) as error:
            raise self._error(error) from None

    def _error(self, error: Exception) -> Exception:
        if isinstance(error, PySparkException):
            return warehouse_error(
                error.getSqlState(), error.getMessage() or str(error), self._where
            )
        return warehouse_error(LOST, "the session has ended", self._where)


def _session(target: SparkTarget) -> SparkSession:
    builder = SparkSession.builder.appName("fed-audience")
    if target.host.startswith(_REMOTE):
        builder = builder.remote(target.host)
    for name, value in target.server_side_parameters.items():
        builder = builder.config(name, str(value))
    return builder.getOrCreate()


def _packing() -> Any:
    """Return what the executors run; made here, it travels whole, and they need no code of ours."""

    def packed(batches: Iterator[Any]) -> Iterator[Any]:
        import pyarrow  # noqa: PLC0415, ICN001 - it is the executor's

        for batch in batches:
            sink = pyarrow.BufferOutputStream()
            with pyarrow.ipc.new_stream(sink, batch.schema) as stream:
                stream.write_batch(batch)
            value = pyarrow.array([sink.getvalue().to_pybytes()], pyarrow.binary())
            yield pyarrow.record_batch([value], names=["batch"])

    return packed


def _zoned(value: object) -> Any:
    """Say that a naive instant is UTC, which Spark takes for the zone of this machine."""
    if isinstance(value, datetime) and value.tzinfo is None:
        return value.replace(tzinfo=UTC)
    return value


def _plain(rows: pa.Table) -> pa.Table:
    """Give dictionaries their values, which Spark does not take, and naive instants their zone."""
    columns: list[Any] = []
    for column in rows.columns:
        if pa.types.is_dictionary(column.type):
            columns.append(column.cast(column.type.value_type))
        elif pa.types.is_timestamp(column.type) and column.type.tz is None:
            columns.append(column.cast(pa.timestamp("us", "UTC")))
        else:
            columns.append(column)
    return pa.table(columns, names=rows.column_names)

"""DuckDB: a file that dbt, the agent and the console open in turn.

DuckDB lets one process at a time write a file. Every call therefore opens the file, works and
closes it again (about 15 ms); only a stream or a transaction holds it for longer.
"""

from __future__ import annotations

import re
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import duckdb

from fed_audience.errors import ConfigError, ResourceError, WarehouseError
from fed_audience.warehouse.engine import PATIENCE_S, PAUSE_S, Engine

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pyarrow as pa

    from fed_audience.warehouse.protocol import Relation

ResultT = TypeVar("ResultT")

_ROWS = "fed_audience_rows"
# Another process holds the file; or another thread of this one is closing it just now.
_BUSY = ("Could not set lock", "Unique file handle conflict")
_HOLDER = re.compile(r"held in (\S+) \(PID (\d+)\)")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_SPEAK_OF_DATA = (duckdb.DataError, duckdb.IntegrityError, duckdb.InvalidInputException)


class DuckDbWarehouse(Engine):
    """One DuckDB file, or a private database in memory when ``path`` is None."""

    dialect = "duckdb"
    temporary_schema = "temp"
    MET_ANOTHER = (duckdb.TransactionException,)

    def __init__(
        self,
        path: Path | None,
        *,
        settings: Mapping[str, str | bool | int | float] | None = None,
        create: bool = False,
        patience_s: float = PATIENCE_S,
    ) -> None:
        super().__init__(str(path or "the database in memory"), patience_s)
        # A name in SQL means a relation, never a variable of this program; what a command prints is
        # its own.
        fixed = {
            "TimeZone": "UTC",
            "python_enable_replacements": False,
            "enable_progress_bar": False,
        }
        self._settings = {**(settings or {}), **fixed}
        self._create = create
        self._transaction: duckdb.DuckDBPyConnection | None = None
        self._memory = duckdb.connect(":memory:") if path is None else None
        if create or path is None:
            with self._connection():
                pass
        else:
            # Opening the file here too would cost as much as the first statement, which says more.
            _existing(path)

    def query(self, statement: str, parameters: Sequence[object] = ()) -> pa.Table:
        """Run one SELECT and return all of its rows."""
        with self._working() as connection:
            rows: pa.Table = _present(
                connection.sql(statement, params=list(parameters))
            ).to_arrow_table()
            return rows

    def stream(
        self, statement: str, parameters: Sequence[object] = (), *, batch_rows: int = 16_384
    ) -> Iterator[pa.RecordBatch]:
        """Yield the committed rows; the file stays open until the last batch or ``close()``."""
        with self._connection() as connection:
            result = _present(connection.sql(statement, params=list(parameters)))
            yield from result.to_arrow_reader(batch_rows)

    def insert(self, relation: Relation, rows: pa.Table) -> int:
        """Append ``rows`` by column name."""
        with self._working() as connection:
            connection.register(_ROWS, rows)
            try:
                connection.execute(f"insert into {relation.sql()} by name select * from {_ROWS}")
            finally:
                connection.unregister(_ROWS)
        return rows.num_rows

    def close(self) -> None:
        """Drop a database in memory; a file is never held between calls."""
        self._closed = True
        if self._memory is not None:
            self._memory.close()

    def _described(self, relation: Relation) -> dict[str, str]:
        rows = self.query(
            "select column_name, data_type from duckdb_columns()"
            " where schema_name = ? and table_name = ?"
            " and database_name = coalesce(?, current_database()) order by column_index",
            [relation.schema, relation.name, relation.database],
        ).to_pylist()
        return {row["column_name"]: row["data_type"] for row in rows}

    def _changed(self, statement: str, parameters: Sequence[object]) -> int:
        with self._working() as connection:
            result = _present(connection.execute(statement, list(parameters)))
            counts = [column[0] for column in result.description or ()] == ["Count"]
            row = result.fetchone()
            return int(row[0]) if counts and row else 0

    def _begin(self) -> None:
        connection = self._opened()
        try:
            with _errors_in_one_line(self._where):
                connection.begin()
        except BaseException:
            connection.close()
            raise
        self._transaction = connection

    def _commit(self) -> None:
        with self._ending() as connection, _errors_in_one_line(self._where):
            connection.commit()

    def _roll_back(self) -> None:
        with self._ending() as connection, suppress(duckdb.Error):
            connection.rollback()

    @contextmanager
    def _ending(self) -> Iterator[duckdb.DuckDBPyConnection]:
        connection, self._transaction = _present(self._transaction), None
        try:
            yield connection
        finally:
            connection.close()

    @contextmanager
    def _working(self) -> Iterator[duckdb.DuckDBPyConnection]:
        if self._transaction is None:
            with self._connection() as connection:
                yield connection
        else:
            with _errors_in_one_line(self._where):
                yield self._transaction

    @contextmanager
    def _connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        connection = self._opened()
        try:
            with _errors_in_one_line(self._where):
                yield connection
        finally:
            connection.close()

    def _opened(self) -> duckdb.DuckDBPyConnection:
        self._refuse_closed()
        connection = self._memory.cursor() if self._memory is not None else self._connect()
        try:
            self._configure(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _configure(self, connection: duckdb.DuckDBPyConnection) -> None:
        for name, value in self._settings.items():
            try:
                connection.execute(f"set {name} = ?", [value])
            except duckdb.Error as error:
                raise ConfigError(
                    f"DuckDB refuses a setting of this target: {error}",
                    value=f"{name}: {value}",
                    fix="correct it under `settings:` in profiles.yml",
                ) from None

    def _connect(self) -> duckdb.DuckDBPyConnection:
        path = Path(self._where) if self._create else _existing(Path(self._where))
        deadline = time.monotonic() + self._patience_s
        while True:
            try:
                return duckdb.connect(str(path))
            except duckdb.Error as error:
                if not any(words in str(error) for words in _BUSY):
                    raise _in_one_line(error, self._where) from None
                if time.monotonic() >= deadline:
                    raise _locked(error, path, self._patience_s) from None
            time.sleep(PAUSE_S)


def _existing(path: Path) -> Path:
    if not path.exists():
        raise WarehouseError(
            "warehouse file does not exist",
            looked=str(path),
            fix="load the brand's raw tables into it, or correct `path` in profiles.yml",
        )
    return path


def _locked(error: duckdb.Error, path: Path, patience_s: float) -> WarehouseError:
    holder = _HOLDER.search(str(error))
    who = f"{Path(holder[1]).name}, process {holder[2]}" if holder else "another process"
    return WarehouseError(
        f"warehouse file is locked by {who}",
        value=str(path),
        limit=f"waited {patience_s:g} s",
        fix="wait until dbt or the other program has ended, or close it, then run this again",
    )


def _present(result: ResultT | None) -> ResultT:
    """Return ``result``; some versions of DuckDB give None for a statement without rows."""
    if result is None:
        raise WarehouseError("the statement returned nothing", fix="give a statement with rows")
    return result


@contextmanager
def _errors_in_one_line(where: str) -> Iterator[None]:
    try:
        yield
    except duckdb.Error as error:
        raise _in_one_line(error, where) from None


def _in_one_line(error: duckdb.Error, where: str) -> WarehouseError | ResourceError:
    """Keep the sentence, drop the excerpt of the statement and every value of a row."""
    if isinstance(error, _SPEAK_OF_DATA):
        # DuckDB quotes the values that it complains about; without quotes all may be value.
        kind, _, rest = str(error).partition("\n")[0].partition(": ")
        masked = _QUOTED.sub("(value withheld)", rest)
        sentence = f"{kind}: {masked if masked != rest else 'a value in the data is not accepted'}"
    else:
        sentence = " ".join(str(error).partition("\n\n")[0].split())
    if isinstance(error, duckdb.OutOfMemoryException) or "No space left" in sentence:
        return ResourceError(
            f"the warehouse ran out of room: {sentence}",
            looked=where,
            fix="free disk space, or raise `settings: memory_limit` of this target in profiles.yml",
        )
    if isinstance(error, duckdb.CatalogException | duckdb.BinderException):
        fix = "run `dbt build` for this brand, so that its relations and columns are current"
    elif isinstance(error, duckdb.TransactionException):
        fix = "run this again; another program changed the same rows at the same moment"
    elif isinstance(error, duckdb.IOException):
        fix = "check that the file, its folder and their permissions are what you expect"
    else:
        fix = "correct the statement or the data that it reads; nothing was changed"
    return WarehouseError(sentence, looked=where, fix=fix)

"""A DuckDB file that several processes use in turn."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from fed_audience.errors import ConfigError, WarehouseError
from fed_audience.warehouse.engines import open_warehouse
from fed_audience.warehouse.profiles import Profile
from fed_audience.warehouse.protocol import Relation, Warehouse

PEOPLE = Relation("main", "people")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "brand.duckdb"


@pytest.fixture
def warehouse(path: Path) -> Warehouse:
    opened = open_warehouse(Profile(path=path), create=True)
    opened.execute("create table people (id integer primary key, name varchar)")
    opened.execute("insert into people values (1, 'Ada'), (2, 'Grace')")
    return opened


@contextmanager
def another_process_holding(path: Path, seconds: float) -> Iterator[subprocess.Popen[str]]:
    code = (
        "import duckdb, sys, time\n"
        "connection = duckdb.connect(sys.argv[1])\n"
        "print('held', flush=True)\n"
        "time.sleep(float(sys.argv[2]))\n"
        "connection.close()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path), str(seconds)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def count(warehouse: Warehouse) -> int:
    return int(warehouse.query("select count(*) as n from people")["n"][0].as_py())


def test_rows_come_back_as_arrow_and_values_are_bound(warehouse: Warehouse) -> None:
    rows = warehouse.query("select name from people where id = ? or name = ?", [1, "'; drop --"])
    assert rows.to_pylist() == [{"name": "Ada"}]


def test_execute_counts_the_rows_it_changed(warehouse: Warehouse) -> None:
    assert warehouse.execute("update people set name = ? where id > 0", ["x"]) == 2
    assert warehouse.execute("delete from people where id = 1") == 1
    assert warehouse.execute("create table other (i integer)") == 0


def test_insert_matches_columns_by_name(warehouse: Warehouse) -> None:
    rows = pa.table({"name": ["Edsger"], "id": pa.array([3], pa.int32())})
    assert warehouse.insert(PEOPLE, rows) == 1
    assert warehouse.query("select name from people where id = 3")["name"].to_pylist() == ["Edsger"]


def test_a_stream_keeps_to_the_batch_size_and_loses_nothing(warehouse: Warehouse) -> None:
    batches = list(warehouse.stream("select range as i from range(10_000)", batch_rows=4_096))
    assert max(batch.num_rows for batch in batches) <= 4_096
    assert sum(batch.num_rows for batch in batches) == 10_000
    assert pa.Table.from_batches(batches)["i"].to_pylist() == list(range(10_000))


def test_writing_while_a_stream_is_read_leaves_the_stream_as_it_was(warehouse: Warehouse) -> None:
    stream = warehouse.stream("select id from people order by id", batch_rows=1)
    first = next(stream)
    warehouse.execute("delete from people")
    rest = sum(batch.num_rows for batch in stream)
    assert first.num_rows + rest == 2
    assert count(warehouse) == 0


@pytest.mark.parametrize("in_memory", [False, True])
def test_a_transaction_is_undone_when_anything_in_it_fails(in_memory: bool, path: Path) -> None:  # noqa: FBT001 - a parameter of the test
    warehouse = open_warehouse(Profile(path=None if in_memory else path), create=True)
    warehouse.execute("create table people (id integer)")
    with pytest.raises(KeyError), warehouse.transaction():  # noqa: PT012 - what came before counts
        warehouse.execute("insert into people values (9)")
        assert count(warehouse) == 1
        raise KeyError
    assert count(warehouse) == 0
    with warehouse.transaction():
        warehouse.execute("insert into people values (9)")
    assert count(warehouse) == 1


def test_an_inner_transaction_is_undone_with_the_outer_one(warehouse: Warehouse) -> None:
    with pytest.raises(KeyError), warehouse.transaction():  # noqa: PT012 - what came before counts
        with warehouse.transaction():
            warehouse.execute("delete from people")
        raise KeyError
    assert count(warehouse) == 2


def test_a_failed_statement_inside_a_transaction_undoes_it(warehouse: Warehouse) -> None:
    with pytest.raises(WarehouseError), warehouse.transaction():  # noqa: PT012 - what came before counts
        warehouse.execute("delete from people")
        warehouse.execute("insert into nowhere values (1)")
    assert count(warehouse) == 2


def test_a_stream_inside_a_transaction_reads_what_is_committed(warehouse: Warehouse) -> None:
    with warehouse.transaction():
        warehouse.execute("delete from people where id = 1")
        seen = sum(batch.num_rows for batch in warehouse.stream("select * from people"))
        assert count(warehouse) == 1
    assert seen == 2


def test_columns_come_in_order_with_their_types(warehouse: Warehouse) -> None:
    assert list(warehouse.columns(PEOPLE).items()) == [("id", "INTEGER"), ("name", "VARCHAR")]
    named = Relation("main", "people", "brand")
    assert warehouse.columns(named) == warehouse.columns(PEOPLE)
    warehouse.execute("create view people_view as select name from people")
    assert list(warehouse.columns(Relation("main", "people_view"))) == ["name"]


def test_a_missing_relation_is_named(warehouse: Warehouse) -> None:
    assert warehouse.relation_exists(PEOPLE)
    assert not warehouse.relation_exists(Relation("main", "nobody"))
    assert not warehouse.relation_exists(Relation("main", "people", "other_brand"))
    with pytest.raises(WarehouseError, match=r'"main"\."nobody".*dbt build'):
        warehouse.columns(Relation("main", "nobody"))


def test_the_session_is_in_utc(warehouse: Warehouse) -> None:
    at = datetime(2026, 10, 1, 12, tzinfo=UTC)
    rows = warehouse.query("select ?::timestamp as at, current_setting('TimeZone') as tz", [at])
    assert rows.to_pylist() == [{"at": at.replace(tzinfo=None), "tz": "UTC"}]


def test_the_profile_sets_the_engine(path: Path) -> None:
    profile = Profile(path=path, settings={"threads": 1, "memory_limit": "512MB"})
    warehouse = open_warehouse(profile, create=True)
    sql = "select current_setting('threads') as t, current_setting('memory_limit') as m"
    assert warehouse.query(sql).to_pylist() == [{"t": 1, "m": "488.2 MiB"}]


def test_a_long_statement_prints_nothing_of_its_own(warehouse: Warehouse) -> None:
    rows = warehouse.query("select current_setting('enable_progress_bar') as bar")
    assert rows["bar"].to_pylist() == [False]


def test_a_wrong_setting_is_one_line(path: Path) -> None:
    with pytest.raises(ConfigError, match="memory_limit: lots"):
        open_warehouse(Profile(path=path, settings={"memory_limit": "lots"}), create=True)


def test_a_mistyped_path_does_not_become_an_empty_warehouse(path: Path) -> None:
    with pytest.raises(WarehouseError, match="does not exist"):
        open_warehouse(Profile(path=path))
    assert not path.exists()


def test_a_file_deleted_meanwhile_is_not_recreated(warehouse: Warehouse, path: Path) -> None:
    reopened = open_warehouse(Profile(path=path))
    path.unlink()
    with pytest.raises(WarehouseError, match="does not exist"):
        reopened.query("select 1")
    assert not path.exists()


def test_a_file_that_is_no_database_says_so(path: Path) -> None:
    path.write_text("customer_id,email\n" * 1000)
    with pytest.raises(WarehouseError, match="not a valid DuckDB"):
        open_warehouse(Profile(path=path)).query("select 1")


def test_another_engine_is_refused_by_name(path: Path) -> None:
    with pytest.raises(ConfigError, match="oracle"):
        open_warehouse(Profile(path=path, type="oracle"))


def test_a_closed_warehouse_says_so(warehouse: Warehouse) -> None:
    warehouse.close()
    warehouse.close()
    with pytest.raises(WarehouseError, match="closed"):
        warehouse.query("select 1")


@pytest.mark.parametrize(
    "sql",
    [
        "insert into people values (2, 'again')",
        "select error(name) from people",
        "select cast('ada@example.com' as integer)",
        "select strptime('ada@example.com', '%Y')",
    ],
)
def test_an_error_holds_no_value_of_a_row(warehouse: Warehouse, sql: str) -> None:
    with pytest.raises(WarehouseError) as caught:
        warehouse.query(sql)
    message = str(caught.value)
    assert "ada" not in message.lower()
    assert "id: 2" not in message
    assert "\n" not in message
    assert caught.value.__cause__ is None


def test_an_error_names_a_missing_column(warehouse: Warehouse) -> None:
    with pytest.raises(WarehouseError, match=r'"nmae".*name.*dbt build'):
        warehouse.query("select nmae from people")


def test_a_file_that_another_process_lets_go_is_waited_for(
    warehouse: Warehouse, path: Path
) -> None:
    with another_process_holding(path, 0.4) as other:
        assert count(warehouse) == 2
        other.wait()


def test_a_file_that_stays_locked_names_file_and_holder(path: Path, warehouse: Warehouse) -> None:
    with another_process_holding(path, 60) as other, pytest.raises(WarehouseError) as caught:
        open_warehouse(Profile(path=path), patience_s=0.2).query("select 1")
    message = str(caught.value)
    assert str(path) in message
    assert f"process {other.pid}" in message
    assert "wait until dbt" in message


def test_between_calls_the_file_is_free_for_dbt(warehouse: Warehouse, path: Path) -> None:
    count(warehouse)
    with warehouse.transaction():
        warehouse.execute("delete from people where id = 1")
    code = "import duckdb, sys; duckdb.connect(sys.argv[1]).execute('delete from people')"
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)
    assert count(warehouse) == 0


def test_an_abandoned_stream_lets_go_of_the_file(warehouse: Warehouse, path: Path) -> None:
    stream = warehouse.stream("select range from range(1_000_000)", batch_rows=1_000)
    next(stream)
    del stream
    code = "import duckdb, sys; duckdb.connect(sys.argv[1])"
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode == 0


def test_two_processes_take_turns_without_losing_a_write(warehouse: Warehouse, path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from fed_audience.warehouse.engines import open_warehouse\n"
        "from fed_audience.warehouse.profiles import Profile\n"
        "w = open_warehouse(Profile(path=Path(sys.argv[1])), patience_s=30)\n"
        "for i in range(20): w.execute('insert into people values (?, null)', [1000 + i])\n"
    )
    other = subprocess.Popen([sys.executable, "-c", code, str(path)])
    patient = open_warehouse(Profile(path=path), patience_s=30)
    for number in range(20):
        patient.execute("insert into people values (?, null)", [100 + number])
        time.sleep(0.01)
    assert other.wait() == 0
    assert count(patient) == 42


def test_duckdb_itself_can_join_in_the_same_process(warehouse: Warehouse, path: Path) -> None:
    with duckdb.connect(str(path)) as connection:
        connection.execute("insert into people values (3, null)")
        assert count(warehouse) == 3

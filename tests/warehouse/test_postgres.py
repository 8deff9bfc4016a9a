"""What is particular to PostgreSQL: many connections, roles, lost servers, its own types."""

from __future__ import annotations

import re
from pathlib import Path
from threading import Thread

import psycopg
import pyarrow as pa
import pytest
from pydantic import SecretStr

from fed_audience.errors import ConfigError, ResourceError, WarehouseError
from fed_audience.warehouse import engines
from fed_audience.warehouse.control import claim_request
from fed_audience.warehouse.postgres.failures import reading_error
from fed_audience.warehouse.postgres.target import PostgresTarget
from fed_audience.warehouse.postgres.warehouse import PostgresWarehouse
from fed_audience.warehouse.profiles import Profile
from fed_audience.warehouse.protocol import Relation
from fed_audience.warehouse.sqlstates import warehouse_error
from tests.postgres_server import PostgresServer
from tests.warehouse.conftest import with_control_tables
from tests.warehouse.test_control import NOW, queue

PEOPLE = Relation("public", "people")


@pytest.fixture
def target(postgres: PostgresServer) -> PostgresTarget:
    target = postgres.emptied_database()
    warehouse = PostgresWarehouse(target)
    warehouse.execute("create table people (id integer primary key, name varchar)")
    warehouse.execute("insert into people values (1, 'Ada'), (2, 'Grace')")
    warehouse.close()
    return target


@pytest.fixture
def warehouse(target: PostgresTarget) -> PostgresWarehouse:
    return PostgresWarehouse(target)


def count(warehouse: PostgresWarehouse) -> int:
    return int(warehouse.query("select count(*) as n from people")["n"][0].as_py())


def cut_off(target: PostgresTarget) -> None:
    """End every other connection, as a restart of the server would."""
    with psycopg.connect(**target.connection_options(), autocommit=True) as connection:  # type: ignore[arg-type] # a mixed mapping
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
        )


def test_a_wrong_password_is_one_line_without_it(target: PostgresTarget) -> None:
    wrong = target.model_copy(update={"password": SecretStr("s3cr3t-but-wrong")})
    with pytest.raises(WarehouseError, match=r"PostgreSQL at .*profiles\.yml") as caught:
        PostgresWarehouse(wrong)
    message = str(caught.value)
    assert "password authentication failed" in message
    assert "s3cr3t" not in message
    assert "\n" not in message


def test_a_database_that_does_not_exist_is_named(target: PostgresTarget) -> None:
    with pytest.raises(WarehouseError, match='database "nowhere" does not exist'):
        PostgresWarehouse(target.model_copy(update={"dbname": "nowhere"}))


def test_a_server_that_is_not_there_is_one_line(target: PostgresTarget) -> None:
    gone = target.model_copy(update={"port": 1, "host": "127.0.0.1"})
    with pytest.raises(WarehouseError, match=r"127\.0\.0\.1:1/.*check that the server runs"):
        PostgresWarehouse(gone)


def test_a_password_never_shows(target: PostgresTarget) -> None:
    shown = repr(target) + str(target) + target.where + repr(Profile(postgres=target))
    assert target.password.get_secret_value() not in shown.replace(target.dbname, "")


def test_without_drivers_the_extra_is_named(
    target: PostgresTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(
        __import__("sys").modules, "fed_audience.warehouse.postgres.warehouse", None
    )
    with pytest.raises(ConfigError, match=r"fed-audience\[postgres\]"):
        engines.open_warehouse(Profile(type="postgres", postgres=target))


def test_the_role_of_the_target_is_taken(
    warehouse: PostgresWarehouse, target: PostgresTarget, request: pytest.FixtureRequest
) -> None:
    role = f"reader_{target.dbname}"
    warehouse.execute(f"create role {role}")
    request.addfinalizer(lambda: PostgresWarehouse(target).execute(f"drop role {role}"))
    as_reader = PostgresWarehouse(target.model_copy(update={"role": role}))
    assert as_reader.query("select current_user as me")["me"].to_pylist() == [role]
    with pytest.raises(WarehouseError, match=r"permission denied for table people.*grant"):
        list(as_reader.stream("select * from people"))
    with pytest.raises(WarehouseError, match="permission denied"):
        as_reader.insert(PEOPLE, pa.table({"id": [3]}))


def test_the_search_path_of_the_target_is_taken(
    warehouse: PostgresWarehouse, target: PostgresTarget
) -> None:
    warehouse.execute("create schema crm")
    warehouse.execute("create table crm.visits as select 1 as n")
    elsewhere = PostgresWarehouse(target.model_copy(update={"search_path": "crm, public"}))
    assert elsewhere.query("select n from visits")["n"].to_pylist() == [1]
    assert [batch.num_rows for batch in elsewhere.stream("select n from visits")] == [1]


def test_a_connection_that_was_cut_is_made_again(
    warehouse: PostgresWarehouse, target: PostgresTarget
) -> None:
    cut_off(target)
    with pytest.raises(WarehouseError, match="server"):
        count(warehouse)
    assert count(warehouse) == 2


def test_a_server_lost_inside_a_transaction_undoes_it(
    warehouse: PostgresWarehouse, target: PostgresTarget
) -> None:
    with pytest.raises(WarehouseError), warehouse.transaction():  # noqa: PT012 - what came before counts
        warehouse.execute("delete from people")
        cut_off(target)
        warehouse.execute("delete from people")
    assert count(warehouse) == 2


def test_a_server_lost_in_the_middle_of_a_read_is_one_line(
    warehouse: PostgresWarehouse, target: PostgresTarget
) -> None:
    wide = "select repeat('x', 10000) as x from generate_series(1, 20000)"
    stream = warehouse.stream(wide, batch_rows=10)
    next(stream)
    cut_off(target)
    with pytest.raises(WarehouseError, match="check that the server runs") as caught:
        list(stream)
    assert "\n" not in str(caught.value)


def test_a_transaction_in_which_a_statement_failed_commits_nothing(
    warehouse: PostgresWarehouse,
) -> None:
    with (  # noqa: PT012 - what came before counts
        pytest.raises(WarehouseError, match="so all of it was undone"),
        warehouse.transaction(),
    ):
        warehouse.execute("delete from people")
        with pytest.raises(WarehouseError, match="nowhere"):
            warehouse.execute("insert into nowhere values (1)")
    assert count(warehouse) == 2


def test_a_stream_inside_a_transaction_reads_what_is_committed(
    warehouse: PostgresWarehouse,
) -> None:
    with warehouse.transaction():
        warehouse.execute("delete from people where id = 1")
        seen = sum(batch.num_rows for batch in warehouse.stream("select * from people"))
        assert count(warehouse) == 1
    assert seen == 2


def test_two_that_wait_for_each_other_both_get_through(target: PostgresTarget) -> None:
    """A trigger makes one statement lock two rows, each of two writers in the other order."""
    setup = PostgresWarehouse(target)
    setup.execute("create table counted (id integer primary key, n integer)")
    setup.execute("insert into counted values (1, 0), (2, 0)")
    statement = (
        "with one as (update counted set n = n + 1 where id = {0} returning pg_sleep(0.2))"
        " update counted set n = n + 1 where id = {1} and (select count(*) from one) = 1"
    )
    failed: list[Exception] = []

    def write(first: int, second: int) -> None:
        own = PostgresWarehouse(target, patience_s=60)
        try:
            own.execute(statement.format(first, second))
        except WarehouseError as error:
            failed.append(error)

    writers = [Thread(target=write, args=pair) for pair in ((1, 2), (2, 1))]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert failed == []
    assert setup.query("select n from counted order by id")["n"].to_pylist() == [2, 2]


def test_racing_agents_share_the_requests_without_overlap(target: PostgresTarget) -> None:
    warehouse = PostgresWarehouse(target)
    warehouse.execute("create schema main")
    with_control_tables(warehouse)
    for number in range(8):
        queue(warehouse, number)
    got: list[str] = []

    def agent(name: str) -> None:
        own = PostgresWarehouse(target)
        while (request := claim_request(own, claimed_by=name, now=NOW)) is not None:
            got.append(request.request_id)

    agents = [Thread(target=agent, args=(f"agent{number}",)) for number in range(4)]
    for thread in agents:
        thread.start()
    for thread in agents:
        thread.join()
    assert sorted(got) == [f"r{number}" for number in range(8)]


def test_what_arrow_has_no_type_for_arrives_as_text(warehouse: PostgresWarehouse) -> None:
    statement = (
        "select '9f0e8a5c-0000-4000-8000-000000000001'::uuid as id, '{\"a\": 1}'::jsonb as doc,"
        " '1 day'::interval as term, array[1, 2] as list, 'x'::char(3) as padded,"
        " 'n'::name as a_name, null::uuid as nothing"
    )
    expected = {
        "id": "9f0e8a5c-0000-4000-8000-000000000001",
        "doc": '{"a": 1}',
        "term": "1 day",
        "list": "{1,2}",
        "padded": "x  ",
        "a_name": "n",
        "nothing": None,
    }
    assert warehouse.query(statement).to_pylist() == [expected]
    (batch,) = warehouse.stream(statement)
    assert batch.to_pylist() == [expected]


def test_infinite_times_are_refused_without_the_value(warehouse: PostgresWarehouse) -> None:
    with pytest.raises(WarehouseError, match=r"no counterpart in Arrow.*looked in: ended_at"):
        warehouse.query("select 'infinity'::timestamp as ended_at")


def test_dictionaries_are_inserted_as_their_values(warehouse: PostgresWarehouse) -> None:
    name = pa.array(["Ada", None, "Ada"]).dictionary_encode()
    warehouse.insert(PEOPLE, pa.table({"id": [7, 8, 9], "name": name}))
    found = warehouse.query("select name from people where id > 6 order by id")
    assert found["name"].to_pylist() == ["Ada", None, "Ada"]


@pytest.mark.parametrize(
    ("state", "said", "kind", "says"),
    [
        ("53100", "could not extend file", ResourceError, "free disk space"),
        ("22P02", 'invalid input syntax for type integer: "Ada"', WarehouseError, "withheld"),
        ("P0001", "Ada is not welcome", WarehouseError, "a value in the data"),
        ("42P01", 'relation "a" does not exist', WarehouseError, 'relation "a"'),
        (None, "something 'Ada' odd", WarehouseError, "withheld"),
    ],
)
def test_only_sentences_about_objects_are_repeated(
    state: str | None, said: str, kind: type[Exception], says: str
) -> None:
    error = warehouse_error(state, said, "here")
    assert type(error) is kind
    assert says in str(error)
    assert "Ada" not in str(error)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[libpq] Execution error: ERROR:  invalid input: "Ada"\nCONTEXT: x', "withheld"),
        ("[libpq] server closed the connection unexpectedly\n\tThis", "closed the connection"),
        ("", "the connection ended"),
    ],
)
def test_what_stops_a_stream_is_one_line(text: str, says: str) -> None:
    message = str(reading_error(OSError(text), "here"))
    assert says in message
    assert "\n" not in message
    assert "Ada" not in message


def test_no_module_but_the_engines_own_knows_a_driver(repository: Path) -> None:
    """What is optional is imported where it is used, so that DuckDB needs none of it."""
    drivers = re.compile(r"^\s*(import|from) (psycopg|adbc)", re.MULTILINE)
    found = {
        path.parent.name
        for path in (repository / "fed_audience").rglob("*.py")
        if drivers.search(path.read_text(encoding="utf-8"))
    }
    assert found == {"postgres"}

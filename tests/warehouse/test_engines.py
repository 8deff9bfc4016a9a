"""What every engine does alike, whichever a brand has."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pyarrow as pa
import pytest

from fed_audience.errors import ConfigError, WarehouseError
from fed_audience.warehouse.engines import open_warehouse
from fed_audience.warehouse.profiles import Profile
from fed_audience.warehouse.protocol import Relation, Warehouse

PEOPLE = Relation("main", "people")
AT = datetime(2026, 6, 1, 12, 30, 15, 250_000)  # noqa: DTZ001 - naive and UTC, as everywhere

EVERYTHING = (
    "select cast(1.5 as double precision) as a_double, cast(2.5 as real) as a_float,"
    " cast(7 as bigint) as a_whole, cast(7 as integer) as an_int, cast(7 as smallint) as a_small,"
    " true as a_flag, cast('2026-06-01' as date) as a_day,"
    " cast('2026-06-01 12:30:15.25' as timestamp) as an_instant,"
    " cast('2026-06-01 14:30:15.25+02' as timestamp with time zone) as a_zoned,"
    " cast('Ærø, \"x\"' as varchar) as a_text, cast('' as varchar) as an_empty"
)
ARROW = {
    "a_double": pa.float64(),
    "a_float": pa.float32(),
    "a_whole": pa.int64(),
    "an_int": pa.int32(),
    "a_small": pa.int16(),
    "a_flag": pa.bool_(),
    "a_day": pa.date32(),
    "an_instant": pa.timestamp("us"),
    "a_zoned": pa.timestamp("us", "UTC"),
    "a_text": pa.string(),
    "an_empty": pa.string(),
}
VALUES = {
    "a_double": 1.5,
    "a_float": 2.5,
    "a_whole": 7,
    "an_int": 7,
    "a_small": 7,
    "a_flag": True,
    "a_day": date(2026, 6, 1),
    "an_instant": AT,
    "a_zoned": AT.replace(tzinfo=UTC),
    "a_text": 'Ærø, "x"',
    "an_empty": "",
}
NOTHING = dict.fromkeys(VALUES)


@pytest.fixture
def warehouse(empty_warehouse: Warehouse) -> Warehouse:
    empty_warehouse.execute("create table main.people (id integer primary key, name varchar)")
    empty_warehouse.execute("insert into main.people values (1, 'Ada'), (2, 'Grace')")
    return empty_warehouse


def names(warehouse: Warehouse) -> list[str]:
    return [str(name) for name in warehouse.query("select name from main.people order by id")[0]]


def all_kinds(warehouse: Warehouse) -> Relation:
    """A table with a value of every kind, and a row of NULLs."""
    warehouse.execute(f"create table main.kinds as {EVERYTHING}")
    kinds = Relation("main", "kinds")
    warehouse.insert(kinds, pa.table({"an_int": pa.nulls(1, pa.int32())}))
    return kinds


def test_every_type_arrives_as_itself_and_null_as_null(warehouse: Warehouse) -> None:
    kinds = all_kinds(warehouse)
    statement = f"select * from {kinds.sql()} order by an_int is null"
    queried = warehouse.query(statement)
    streamed = pa.Table.from_batches(list(warehouse.stream(statement)))
    for rows in (queried, streamed):
        assert dict(zip(rows.schema.names, rows.schema.types, strict=True)) == ARROW
        assert rows.to_pylist() == [VALUES, NOTHING]


def test_what_was_read_can_be_inserted_again(warehouse: Warehouse) -> None:
    kinds = all_kinds(warehouse)
    copy = Relation("main", "copied")
    warehouse.execute(f"create table {copy.sql()} as select * from {kinds.sql()} where false")
    assert warehouse.insert(copy, warehouse.query(f"select * from {kinds.sql()}")) == 2
    again = f"select * from {copy.sql()} order by an_int is null"
    assert warehouse.query(again).to_pylist() == [VALUES, NOTHING]


def test_a_decimal_is_a_number(warehouse: Warehouse) -> None:
    warehouse.execute("create table main.prices (price decimal(10, 2), whole decimal(9, 0))")
    warehouse.execute("insert into main.prices values (12.25, 7), (null, null)")
    statement = "select * from main.prices order by price is null"
    for rows in (
        warehouse.query(statement),
        pa.Table.from_batches(list(warehouse.stream(statement))),
    ):
        assert [None if one is None else float(one) for one in rows["price"].to_pylist()] == [
            12.25,
            None,
        ]
        assert [str(one) for one in rows["whole"].to_pylist()] == ["7", "None"]


def test_numbers_come_back_to_the_last_bit(warehouse: Warehouse) -> None:
    numbers = [0.1, 1 / 3, 5e-324, 1.7976931348623157e308, -0.0, 123456789.123456789]
    warehouse.execute("create table main.numbers (x double precision)")
    table = pa.table({"x": pa.array([*numbers, float("nan"), float("inf")])})
    warehouse.insert(Relation("main", "numbers"), table)
    for rows in (
        warehouse.query("select x from main.numbers")["x"],
        pa.Table.from_batches(list(warehouse.stream("select x from main.numbers")))["x"],
    ):
        assert sorted(repr(x) for x in rows.to_pylist()) == sorted(
            repr(x) for x in table["x"].to_pylist()
        )


def test_a_result_of_one_empty_column_keeps_its_rows(warehouse: Warehouse) -> None:
    statement = "select cast(null as varchar) as nothing from main.people"
    assert warehouse.query(statement)["nothing"].to_pylist() == [None, None]


def test_a_result_without_rows_has_its_columns(warehouse: Warehouse) -> None:
    rows = warehouse.query("select id, name from main.people where id < 0")
    assert (rows.num_rows, rows.column_names) == (0, ["id", "name"])


def test_values_are_bound_whatever_they_hold(warehouse: Warehouse) -> None:
    for name in ("'; drop table people; --", 'a "b" \\ ?', "é\n\t%s $1", ""):
        warehouse.execute("update main.people set name = ? where id = ?", [name, 1])
        assert names(warehouse) == [name, "Grace"]
        found = warehouse.query("select id from main.people where name = ?", [name])
        assert found["id"].to_pylist() == [1]
        (batch,) = warehouse.stream("select id from main.people where name = ?", [name])
        assert batch.to_pydict() == {"id": [1]}


def test_a_question_mark_in_a_text_is_no_placeholder(warehouse: Warehouse) -> None:
    statement = "select '?' as a, '''?' as b, ? as c -- ? and ?\n, 1 as \"d?\" /* ? */"
    assert warehouse.query(statement, ["x"]).to_pylist() == [
        {"a": "?", "b": "'?", "c": "x", "d?": 1}
    ]


def test_none_instants_lists_and_numbers_can_be_values(warehouse: Warehouse) -> None:
    rows = warehouse.query(
        "select cast(? as timestamp) as at, cast(? as varchar) as none,"
        " (select count(*) from main.people where name in (select unnest(?::varchar[]))) as n,"
        " cast(? as double precision) as x",
        [AT, None, ["Ada", "Grace", "x'y"], 0.1],
    )
    assert rows.to_pylist() == [{"at": AT, "none": None, "n": 2, "x": 0.1}]
    assert warehouse.execute("update main.people set name = ? where id = 1", [None]) == 1


def test_too_few_or_too_many_values_are_refused(warehouse: Warehouse) -> None:
    for values in ([], [1, 2]):
        with pytest.raises(WarehouseError):
            warehouse.query("select id from main.people where id = ?", values)


def test_execute_counts_the_rows_it_changed(warehouse: Warehouse) -> None:
    assert warehouse.execute("update main.people set name = ? where id > 0", ["x"]) == 2
    assert warehouse.execute("delete from main.people where id = 1") == 1
    assert warehouse.execute("create table main.other (i integer)") == 0


def test_insert_matches_columns_by_name(warehouse: Warehouse) -> None:
    rows = pa.table({"name": ["Edsger"], "id": pa.array([3], pa.int64())})
    assert warehouse.insert(PEOPLE, rows) == 1
    assert names(warehouse) == ["Ada", "Grace", "Edsger"]


def test_a_stream_keeps_to_the_batch_size_and_loses_nothing(warehouse: Warehouse) -> None:
    numbers = pa.table({"id": pa.array(range(3, 10_003), pa.int32())})
    warehouse.insert(PEOPLE, numbers)
    statement = "select id from main.people order by id"
    batches = list(warehouse.stream(statement, batch_rows=1_024))
    assert max(batch.num_rows for batch in batches) <= 1_024
    assert pa.Table.from_batches(batches)["id"].to_pylist() == list(range(1, 10_003))


def test_two_columns_of_one_name_can_be_read(warehouse: Warehouse) -> None:
    (batch,) = warehouse.stream("select id as x, cast(1.5 as decimal(3, 1)) as y from main.people")
    assert batch.schema.names == ["x", "y"]


def test_writing_while_a_stream_is_read_leaves_the_stream_as_it_was(warehouse: Warehouse) -> None:
    stream = warehouse.stream("select id from main.people order by id", batch_rows=1)
    first = next(stream)
    warehouse.execute("delete from main.people")
    assert first.num_rows + sum(batch.num_rows for batch in stream) == 2
    assert names(warehouse) == []


def test_an_abandoned_stream_leaves_nothing_locked(warehouse: Warehouse) -> None:
    stream = warehouse.stream("select id from main.people", batch_rows=1)
    next(stream)
    del stream
    warehouse.execute("drop table main.people")


def test_a_transaction_is_undone_when_anything_in_it_fails(warehouse: Warehouse) -> None:
    with pytest.raises(KeyError), warehouse.transaction():  # noqa: PT012 - what came before counts
        warehouse.execute("delete from main.people")
        warehouse.insert(PEOPLE, pa.table({"id": pa.array([9], pa.int32())}))
        assert warehouse.query("select id from main.people")["id"].to_pylist() == [9]
        raise KeyError
    assert names(warehouse) == ["Ada", "Grace"]
    with warehouse.transaction():
        warehouse.execute("delete from main.people where id = 1")
    assert names(warehouse) == ["Grace"]


def test_an_inner_transaction_is_undone_with_the_outer_one(warehouse: Warehouse) -> None:
    with pytest.raises(KeyError), warehouse.transaction():  # noqa: PT012 - what came before counts
        with warehouse.transaction():
            warehouse.execute("delete from main.people")
        raise KeyError
    assert names(warehouse) == ["Ada", "Grace"]


def test_a_temporary_table_lives_in_its_transaction(warehouse: Warehouse) -> None:
    kept = warehouse.temporary("kept")
    with warehouse.transaction():
        warehouse.execute(f"create temp table {kept.sql()} (name varchar)")
        warehouse.insert(kept, pa.table({"name": ["Ada"]}))
        rows = warehouse.query(f"select name from {kept.sql()}")
        warehouse.execute(f"drop table {kept.sql()}")
    assert rows["name"].to_pylist() == ["Ada"]


def test_columns_come_in_order(warehouse: Warehouse) -> None:
    assert list(warehouse.columns(PEOPLE)) == ["id", "name"]
    warehouse.execute("create view main.people_view as select name from main.people")
    assert list(warehouse.columns(Relation("main", "people_view"))) == ["name"]


def test_a_missing_relation_is_named(warehouse: Warehouse) -> None:
    assert warehouse.relation_exists(PEOPLE)
    assert not warehouse.relation_exists(Relation("main", "nobody"))
    assert not warehouse.relation_exists(Relation("main", "people", "other_brand"))
    with pytest.raises(WarehouseError, match=r'"main"\."nobody".*dbt build'):
        warehouse.columns(Relation("main", "nobody"))


def test_the_session_is_in_utc(warehouse: Warehouse) -> None:
    at = datetime(2026, 10, 1, 12, tzinfo=UTC)
    rows = warehouse.query("select cast(? as timestamp) as at", [at])
    assert rows["at"].to_pylist() == [at.replace(tzinfo=None)]


@pytest.mark.parametrize(
    "statement",
    [
        "insert into main.people values (2, 'again')",
        "insert into main.people select cast(name as integer) from main.people",
        "update main.people set id = 2 where name = 'Ada'",
    ],
)
def test_an_error_holds_no_value_of_a_row(warehouse: Warehouse, statement: str) -> None:
    with pytest.raises(WarehouseError) as caught:
        warehouse.execute(statement)
    message = str(caught.value)
    assert "Ada" not in message
    assert "id: 2" not in message
    assert "(2)" not in message
    assert "\n" not in message
    assert caught.value.__cause__ is None


def test_a_read_that_fails_holds_no_value_of_a_row(warehouse: Warehouse) -> None:
    statement = "select cast(name as integer) as n from main.people"
    for read in (warehouse.query, lambda text: list(warehouse.stream(text))):
        with pytest.raises(WarehouseError) as caught:
            read(statement)
        assert "Ada" not in str(caught.value)
        assert "\n" not in str(caught.value)


def test_an_error_names_a_missing_column(warehouse: Warehouse) -> None:
    with pytest.raises(WarehouseError, match=r'"nmae".*dbt build'):
        warehouse.query("select nmae from main.people")


def test_a_closed_warehouse_says_so(warehouse: Warehouse) -> None:
    warehouse.close()
    warehouse.close()
    with pytest.raises(WarehouseError, match="closed"):
        warehouse.query("select 1")


def test_another_engine_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"oracle.*duckdb, postgres, snowflake"):
        open_warehouse(Profile(type="oracle"))

"""What every engine promises, in the words of our statements, run on each that is here."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime

import pyarrow as pa
import pytest

from fed_audience.errors import DataError, WarehouseError
from fed_audience.warehouse.control import claim_request, finish_request, verify_build
from fed_audience.warehouse.duckdb import DuckDbWarehouse
from fed_audience.warehouse.protocol import Relation, Warehouse
from fed_audience.warehouse.registry import active_version, register_model
from fed_audience.warehouse.scores import ScoreStamp, erase_scores, write_scores
from fed_audience.warehouse.scoring import score
from tests.warehouse.conftest import with_control_tables
from tests.warehouse.contract.cloud_engines import NOT_ON_THE_FAKE, THEIR_WARNINGS
from tests.warehouse.sql_scoring.test_scoring_in_warehouse import (
    FEATURES,
    KEY,
    encoder,
    on_cuts,
    run,
    scores,
    stamped,
    trained,
)
from tests.warehouse.sql_scoring.test_scoring_in_warehouse import people as people_of
from tests.warehouse.test_control import NOW, SPEC, build, queue

pytestmark = THEIR_WARNINGS

PEOPLE = Relation("main", "people")
AT = datetime(2026, 6, 1, 12, 30, 15, 250_000)  # noqa: DTZ001 - naive and UTC, as everywhere

KINDS = (
    "select cast(1.5 as double precision) as a_double, cast(7 as bigint) as a_whole,"
    " cast(7 as integer) as an_int, cast(12.25 as decimal(10, 2)) as a_price,"
    " cast(7 as decimal(9, 0)) as a_count, true as a_flag, cast('2026-06-01' as date) as a_day,"
    " cast('2026-06-01 12:30:15.25' as timestamp) as an_instant,"
    " cast('Ærø, \"x\"' as varchar) as a_text, cast('' as varchar) as an_empty"
)
VALUES = {
    "a_double": 1.5,
    "a_whole": 7,
    "an_int": 7,
    "a_price": 12.25,
    "a_count": 7,
    "a_flag": True,
    "a_day": date(2026, 6, 1),
    "an_instant": AT,
    "a_text": 'Ærø, "x"',
    "an_empty": "",
}


@pytest.fixture
def people(warehouse: Warehouse) -> Warehouse:
    warehouse.execute("create table main.people (id integer, name varchar)")
    warehouse.execute("insert into main.people values (1, 'Ada'), (2, 'Grace')")
    return warehouse


def names(warehouse: Warehouse) -> list[str]:
    return [str(name) for name in warehouse.query("select name from main.people order by id")[0]]


def test_what_is_skipped_on_the_fake_is_of_the_contract() -> None:
    assert NOT_ON_THE_FAKE.keys() <= globals().keys()


def test_every_type_arrives_as_itself_and_null_as_null(warehouse: Warehouse) -> None:
    warehouse.execute(f"create table main.kinds as {KINDS}")
    warehouse.insert(Relation("main", "kinds"), pa.table({"an_int": pa.nulls(1, pa.int32())}))
    statement = "select * from main.kinds order by case when an_int is null then 1 else 0 end"
    for rows in (
        warehouse.query(statement),
        pa.Table.from_batches(list(warehouse.stream(statement))),
    ):
        found, nothing = rows.to_pylist()
        assert {**found, "a_price": float(found["a_price"])} == VALUES
        assert list(found) == list(VALUES)
        assert nothing == dict.fromkeys(VALUES)
        assert rows.schema.field("an_instant").type == pa.timestamp("us")
        assert rows.schema.field("a_double").type == pa.float64()
        assert rows.schema.field("a_text").type == pa.string()


def test_what_was_read_can_be_inserted_again(warehouse: Warehouse) -> None:
    warehouse.execute(f"create table main.kinds as {KINDS}")
    warehouse.execute("create table main.copied as select * from main.kinds where 1 = 0")
    rows = warehouse.query("select * from main.kinds")
    assert warehouse.insert(Relation("main", "copied"), rows) == 1
    assert warehouse.query("select * from main.copied").to_pylist() == rows.to_pylist()


def test_numbers_come_back_to_the_last_bit(warehouse: Warehouse) -> None:
    numbers = [0.1, 1 / 3, 1.7976931348623157e308, 123456789.123456789, 2.0**-60]
    warehouse.execute("create table main.numbers (x double precision)")
    warehouse.insert(Relation("main", "numbers"), pa.table({"x": numbers}))
    found = warehouse.query("select x from main.numbers")["x"].to_pylist()
    assert sorted(map(repr, found)) == sorted(map(repr, numbers))


def test_values_are_bound_whatever_they_hold(people: Warehouse) -> None:
    for name in ("'; drop table people; --", 'a "b" ?', "é\n\t%s $1 :x", ""):
        rows = people.query("select ? as said from main.people where id = ?", [name, 1])
        assert rows["said"].to_pylist() == [name]


def test_none_instants_lists_and_numbers_can_be_values(people: Warehouse) -> None:
    rows = people.query(
        "select cast(? as timestamp) as seen, cast(? as varchar) as nothing,"
        " (select count(*) from main.people where name in (select unnest(?::varchar[]))) as n,"
        " cast(? as double precision) as x",
        [AT, None, ["Ada", "Grace", "x'y"], 0.1],
    )
    assert rows.to_pylist() == [{"seen": AT, "nothing": None, "n": 2, "x": 0.1}]


def test_too_few_or_too_many_values_are_refused(people: Warehouse) -> None:
    for values in ([], [1, 2]):
        with pytest.raises(WarehouseError):
            people.query("select id from main.people where id = ?", values)


def test_insert_matches_columns_by_name(people: Warehouse) -> None:
    rows = pa.table({"name": ["Edsger"], "id": pa.array([3], pa.int64())})
    assert people.insert(PEOPLE, rows) == 1
    assert names(people) == ["Ada", "Grace", "Edsger"]


def test_a_stream_keeps_to_the_batch_size_and_loses_nothing(people: Warehouse) -> None:
    people.insert(PEOPLE, pa.table({"id": pa.array(range(3, 303), pa.int32())}))
    batches = list(people.stream("select id from main.people order by id", batch_rows=64))
    assert max(batch.num_rows for batch in batches) <= 64
    assert pa.Table.from_batches(batches)["id"].to_pylist() == list(range(1, 303))


def test_columns_come_in_order_and_a_missing_relation_is_named(people: Warehouse) -> None:
    assert list(people.columns(PEOPLE)) == ["id", "name"]
    people.execute("create view main.people_view as select name from main.people")
    assert list(people.columns(Relation("main", "people_view"))) == ["name"]
    assert not people.relation_exists(Relation("main", "nobody"))
    assert not people.relation_exists(Relation("nowhere", "people"))
    with pytest.raises(WarehouseError, match=r'"main"\."nobody".*dbt build'):
        people.columns(Relation("main", "nobody"))


def test_an_error_holds_no_value_of_a_row(
    people: Warehouse, capfd: pytest.CaptureFixture[str]
) -> None:
    statement = "select cast(name as integer) as n from main.people"
    for read in (people.query, lambda text: list(people.stream(text))):
        with pytest.raises(WarehouseError) as caught:
            read(statement)
        assert "Ada" not in str(caught.value)
        assert "\n" not in str(caught.value)
    printed = capfd.readouterr()
    # The fake server of Snowflake runs in this process, and prints what it refuses.
    assert people.dialect == "snowflake" or "Ada" not in printed.out + printed.err


def test_a_closed_warehouse_says_so(people: Warehouse) -> None:
    people.close()
    people.close()
    with pytest.raises(WarehouseError, match="closed"):
        people.query("select 1")
    with pytest.raises(WarehouseError, match="closed"):
        next(iter(people.stream("select 1")))


def test_a_scratch_table_is_filled_and_dropped(people: Warehouse) -> None:
    kept = people.temporary("kept")
    with people.transaction():
        people.execute(f"create temp table {kept.sql()} (name varchar)")
        people.insert(kept, pa.table({"name": ["Ada"]}))
        rows = people.query(f"select name from {kept.sql()}")
        people.execute(f"drop table {kept.sql()}")
    assert rows["name"].to_pylist() == ["Ada"]


def with_features(warehouse: Warehouse) -> Warehouse:
    """Rows on the cuts, beside them and beyond, and with nothing in them."""
    warehouse.execute(
        "create table main.features (customer_id varchar, f_spent double precision,"
        " f_city varchar, f_orders bigint, f_is_new boolean, f_first date, f_last timestamp)"
    )
    warehouse.insert(FEATURES, people_of().slice(0, 90))
    return warehouse


def by_customer(tables: Iterable[pa.Table]) -> dict[str, float]:
    rows = pa.concat_tables(tables)
    return {row["customer_id"]: row["score"] for row in rows.to_pylist()}


def test_the_agent_scores_as_on_duckdb_to_the_last_bit(warehouse: Warehouse) -> None:
    held, _ = trained()
    on_duckdb = with_features(DuckDbWarehouse(None))
    found, expected = (
        by_customer(score(one, FEATURES, held.model_text, encoder(), key=KEY, batch_rows=32))
        for one in (with_features(warehouse), on_duckdb)
    )
    assert found == expected
    assert len(set(found.values())) > 10


def test_the_warehouse_scores_as_lightgbm_does(updating: Warehouse) -> None:
    brand = with_features(with_control_tables(updating))
    held, booster = trained()
    done = run(brand, held)
    assert (done.customers, done.scored) == (90, 90)
    expected = booster.predict(on_cuts()[:90])
    found = scores(brand)
    assert [found[f"c{n:04}"] for n in range(90)] == pytest.approx(expected, abs=1e-12, rel=1e-12)
    assert run(brand, held, stamped(hours=1)).scored == 0


def test_execute_counts_the_rows_it_changed(updating: Warehouse, people: Warehouse) -> None:
    assert people.execute("update main.people set name = ? where id > 0", ["x"]) == 2
    assert people.execute("delete from main.people where id = 1") == 1
    assert people.execute("create table main.other (i integer)") == 0


def test_a_transaction_is_undone_when_anything_in_it_fails(
    updating: Warehouse, people: Warehouse
) -> None:
    with pytest.raises(KeyError), people.transaction():  # noqa: PT012 - what came before counts
        people.execute("delete from main.people")
        people.insert(PEOPLE, pa.table({"id": pa.array([9], pa.int32())}))
        assert people.query("select id from main.people")["id"].to_pylist() == [9]
        raise KeyError
    assert names(people) == ["Ada", "Grace"]
    with people.transaction():
        people.execute("delete from main.people where id = 1")
    assert names(people) == ["Grace"]


def test_a_request_is_claimed_once_verified_and_ended(updating: Warehouse) -> None:
    brand = with_control_tables(updating)
    queue(brand)
    build(brand, "build1", "build1", "build1")
    request = claim_request(brand, claimed_by="agent", now=NOW)
    assert request is not None
    assert (request.request_id, request.row_count, request.spec.model) == ("r1", 3, SPEC["model"])
    assert claim_request(brand, claimed_by="other", now=NOW) is None
    verify_build(brand, request, now=NOW)
    finish_request(brand, "r1", status="succeeded", now=NOW)
    with pytest.raises(WarehouseError, match="no open training request"):
        finish_request(brand, "r1", status="failed", now=NOW)


def test_scores_are_replaced_as_a_whole_or_not_at_all(updating: Warehouse) -> None:
    brand = with_control_tables(updating)
    stamp = ScoreStamp("repurchase", "v1", is_rank=False, scored_at=NOW)
    first = pa.table({"customer_id": ["a", "b"], "score": [0.25, 0.5]})
    assert write_scores(brand, [first], stamp) == 2
    twice = pa.table({"customer_id": ["c", "c"], "score": [0.1, 0.1]})
    with pytest.raises(DataError, match="1 customers come more than once"):
        write_scores(brand, [twice], stamp)
    held = "select customer_id, score, scored_at from fed_audience.scores order by 1"
    assert brand.query(held)["customer_id"].to_pylist() == ["a", "b"]
    assert brand.query(held)["scored_at"].to_pylist() == [NOW, NOW]
    assert erase_scores(brand, pa.array(["b", "z"])) == 1
    assert brand.query(held)["customer_id"].to_pylist() == ["b"]


def test_one_version_of_a_model_is_active(updating: Warehouse) -> None:
    brand = with_control_tables(updating)
    held, _ = trained()
    register_model(brand, held)
    register_model(brand, held)
    found = active_version(brand, held.model_name)
    assert found is not None
    assert found.model_version == held.model_version
    assert found.created_at.replace(tzinfo=UTC) == held.created_at.replace(tzinfo=UTC)

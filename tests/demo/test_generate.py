"""The generated brands: sizes, determinism, what they must and must not contain."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fed_audience.demo.generate import DemoData, generate
from fed_audience.demo.settings import AS_OF, BRANDS, brand_sizes
from fed_audience.errors import ResourceError, UsageError

GOLDEN = Path(__file__).with_name("golden_digests.json")
NAMES = [brand.name for brand in BRANDS]
TABLES = {
    "customers",
    "identity_map",
    "orders",
    "order_items",
    "events",
    "web_sessions",
    "email_engagement",
    "consent_events",
}


def one(raw: duckdb.DuckDBPyConnection, sql: str) -> float:
    (row,) = raw.execute(sql).fetchall()
    return float(row[0])


def digest(table: pa.Table) -> str:
    """Hash of names, order and values; how Parquet packs them does not matter."""
    hashed = hashlib.sha256()
    for name in table.column_names:
        hashed.update(name.encode())
        hashed.update(repr(table[name].to_pylist()).encode())
    return hashed.hexdigest()


def digests(data: DemoData) -> dict[str, str]:
    return {
        f"{brand.name}/{file.stem}": digest(pq.read_table(file))
        for brand in data.brands
        for file in sorted([*brand.raw.glob("*.parquet"), brand.truth])
    }


def test_the_same_seed_gives_the_values_that_it_always_gave(tmp_path: Path) -> None:
    found = digests(generate(tmp_path, customers=400))
    assert found == json.loads(GOLDEN.read_text(encoding="utf-8"))


def test_another_seed_gives_other_people(tmp_path: Path) -> None:
    first = digests(generate(tmp_path / "a", customers=200, seed=1))
    second = digests(generate(tmp_path / "b", customers=200, seed=2))
    assert first.keys() == second.keys()
    assert not set(first.values()) & set(second.values())


def test_discord_changes_travel_and_leaves_the_others_alone(tmp_path: Path) -> None:
    kindred = digests(generate(tmp_path / "a", customers=200))
    discord = digests(generate(tmp_path / "b", customers=200, setting="discord"))
    changed = {name for name in kindred if kindred[name] != discord[name]}
    assert "travel/orders" in changed
    assert {name.split("/")[0] for name in changed} == {"travel"}
    assert kindred["travel/customers"] == discord["travel/customers"]


def test_generating_again_replaces_what_was_there(tmp_path: Path) -> None:
    generate(tmp_path, customers=300, seed=1)
    again = generate(tmp_path, customers=200, seed=2)
    fresh = generate(tmp_path / "fresh", customers=200, seed=2)
    assert digests(again) == digests(fresh)
    assert not list(tmp_path.rglob("*unfinished*"))


def test_sizes_are_sixty_thirty_ten(brands: DemoData) -> None:
    assert [brand.rows["customers"] for brand in brands.brands] == [3_600, 1_800, 600]
    assert brands.customers == 6_000
    assert sum(brand_sizes(60_007).values()) == 60_007


def test_the_default_size_gives_a_million_events(brands: DemoData) -> None:
    assert brands.events / brands.customers > 1_000_000 / 60_000 * 1.1


def test_every_brand_has_every_table_with_its_arrival_and_source(brands: DemoData) -> None:
    for brand in brands.brands:
        assert {file.stem for file in brand.raw.glob("*.parquet")} == TABLES
        for file in brand.raw.glob("*.parquet"):
            schema = pq.read_schema(file)
            assert schema.field("_loaded_at").type == pa.timestamp("us")
            assert "_source_system" in schema.names
            assert pq.read_metadata(file).num_rows == brand.rows[file.stem]


def test_grocery_and_travel_lack_a_column_that_fashion_has(brands: DemoData) -> None:
    columns = {
        brand.name: {
            file.stem: set(pq.read_schema(file).names) for file in brand.raw.glob("*.parquet")
        }
        for brand in brands.brands
    }
    for name, lacking in (
        ("grocery", {"orders": {"coupon"}}),
        ("travel", {"email_engagement": {"opened_at"}}),
    ):
        lost = {table: columns["fashion"][table] - columns[name][table] for table in TABLES}
        assert {table: names for table, names in lost.items() if names} == lacking


@pytest.mark.parametrize("brand", NAMES)
def test_nothing_is_dated_or_arrives_after_the_as_of(
    raw: duckdb.DuckDBPyConnection, brand: str
) -> None:
    for table, column in [
        *((name, "_loaded_at") for name in TABLES),
        ("orders", "refunded_at"),
        ("events", "occurred_at"),
        ("web_sessions", "started_at"),
        ("email_engagement", "clicked_at"),
        ("email_engagement", "unsubscribed_at"),
        ("consent_events", "recorded_at"),
        ("customers", "suppressed_at"),
    ]:
        latest = raw.execute(f"select max({column}) from {brand}.{table}").fetchall()[0][0]
        assert latest < AS_OF, (table, column)


@pytest.mark.parametrize("brand", NAMES)
@pytest.mark.parametrize(
    ("table", "column", "parent"),
    [
        ("orders", "customer_id", "customers"),
        ("order_items", "order_id", "orders"),
        ("events", "customer_id", "customers"),
        ("web_sessions", "customer_id", "customers"),
        ("email_engagement", "customer_id", "customers"),
        ("identity_map", "customer_id", "customers"),
        ("truth", "customer_id", "customers"),
    ],
)
def test_references_resolve(
    raw: duckdb.DuckDBPyConnection, brand: str, table: str, column: str, parent: str
) -> None:
    orphans = one(
        raw,
        f"select count(*) from {brand}.{table} where {column} is not null"
        f" and {column} not in (select {column} from {brand}.{parent})",
    )
    assert orphans == 0


@pytest.mark.parametrize("brand", NAMES)
def test_every_consent_event_speaks_for_a_known_identity(
    raw: duckdb.DuckDBPyConnection, brand: str
) -> None:
    unknown = one(
        raw,
        f"select count(*) from {brand}.consent_events anti join {brand}.identity_map"
        " using (source_system, source_id)",
    )
    assert unknown == 0


@pytest.mark.parametrize("brand", NAMES)
@pytest.mark.parametrize(
    ("table", "key"),
    [
        ("customers", "customer_id"),
        ("orders", "order_id"),
        ("order_items", "order_id || '/' || line"),
        ("events", "event_id"),
        ("web_sessions", "session_id"),
        ("email_engagement", "message_id"),
        ("consent_events", "consent_event_id"),
    ],
)
def test_keys_are_unique(raw: duckdb.DuckDBPyConnection, brand: str, table: str, key: str) -> None:
    repeated = one(raw, f"select count(*) - count(distinct {key}) from {brand}.{table}")
    assert repeated == 0


@pytest.mark.parametrize("brand", NAMES)
def test_orders_add_up(raw: duckdb.DuckDBPyConnection, brand: str) -> None:
    wrong = one(
        raw,
        "select count(*) from (select o.gross, sum(i.qty * i.price) as lines"
        f" from {brand}.orders o join {brand}.order_items i using (order_id)"
        " group by o.order_id, o.gross) where abs(gross - lines) > 0.006",
    )
    assert wrong == 0
    impossible = one(
        raw,
        f"select count(*) from {brand}.orders where discount < 0 or discount > gross"
        " or refunded > gross - discount + 0.005 or (refunded > 0) <> (refunded_at is not null)"
        " or (status = 'returned' and refunded = 0) or refunded_at < ordered_at",
    )
    assert impossible == 0


@pytest.mark.parametrize("brand", NAMES)
def test_the_truth_is_in_no_raw_table(brands: DemoData, brand: str) -> None:
    data = next(each for each in brands.brands if each.name == brand)
    truth = pq.read_table(data.truth)
    assert truth.column_names == [
        "customer_id",
        "affinity",
        "premium_affinity",
        "is_premium",
        "coming_orders",
    ]
    secrets = {
        value
        for name in ("affinity", "premium_affinity", "coming_orders")
        for value in truth[name].to_pylist()
        # A person who has left is expected to order 0.0 times; that number is no secret.
        if value != 0.0
    }
    for file in data.raw.glob("*.parquet"):
        table = pq.read_table(file)
        assert not set(table.column_names) & (set(truth.column_names) - {"customer_id"})
        for field in table.schema:
            if pa.types.is_floating(field.type):
                # Money has two decimals, the truth six.
                found = {v for v in table[field.name].to_pylist() if v is not None}
                assert len(found & secrets) <= len(secrets) // 500, (file.stem, field.name)
    assert data.truth.parent not in data.raw.parents


@pytest.mark.parametrize("customers", [-1, 0, 199])
def test_too_few_customers_are_refused(tmp_path: Path, customers: int) -> None:
    with pytest.raises(UsageError, match="at least 200"):
        generate(tmp_path, customers=customers)
    assert not list(tmp_path.iterdir())


def test_an_unknown_setting_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="kindred, discord"):
        generate(tmp_path, customers=200, setting="kin")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_a_file_is_one_clear_error(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(ResourceError, match="cannot be written"):
        generate(blocked, customers=200)

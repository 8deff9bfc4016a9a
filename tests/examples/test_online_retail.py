"""The Online Retail example: from one shop's invoices to the raw tables of three brands."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import duckdb
import pytest

from fed_audience.errors import DataError, FedAudienceError, ResourceError
from fed_audience.jobs.settings import load_federation
from fed_audience.jobs.sites import site_of

HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
BRANDS = ("uk_a", "uk_b", "abroad")

SHOP = HEADER + "".join(
    f"{line}\n"
    for line in (
        "1,A,RED BAG,2,2011-01-03 10:00:00,5.0,100.0,France",
        "1,B,TEA CUP,1,2011-01-03 10:00:00,3.0,100.0,France",
        "2,A,RED BAG,4,2011-02-03 10:00:00,5.0,100.0,Germany",
        "C3,A,RED BAG,-1,2011-03-03 10:00:00,5.0,100.0,Germany",
        "C4,A,RED BAG,-1,2011-04-03 10:00:00,5.0,100.0,Germany",
        "C5,Z,NEVER BOUGHT,-9,2011-04-03 10:00:00,5.0,100.0,Germany",
        "C6,A,RED BAG,-1,2011-01-02 10:00:00,5.0,100.0,France",
        "7,A,RED BAG,1,2011-05-03 10:00:00,5.0,200.0,United Kingdom",
        "C8,A,RED BAG,-80,2011-06-03 10:00:00,5.0,200.0,United Kingdom",
        "9,A,RED BAG,1,2011-05-03 10:00:00,5.0,,United Kingdom",
        "10,A,RED BAG,1,2011-05-03 10:00:00,0.0,300.0,United Kingdom",
    )
)

pytestmark = pytest.mark.xdist_group("online_retail")


def rows(folder: Path, brand: str, sql: str) -> list[Any]:
    with duckdb.connect(str(folder / brand / "warehouse.duckdb"), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def all_events(folder: Path) -> duckdb.DuckDBPyConnection:
    """A connection whose table `events` holds the consent events of all brands."""
    connection = duckdb.connect()
    for brand in BRANDS:
        path = folder / brand / "warehouse.duckdb"
        connection.execute(f"attach '{path}' as {brand} (read_only)")
    parts = " union all ".join(f"from {brand}.raw.consent_events" for brand in BRANDS)
    connection.execute(f"create table events as {parts}")
    return connection


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.fixture(scope="module")
def real(
    preparing: ModuleType, real_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Any, Path]:
    folder = tmp_path_factory.mktemp("online_retail") / "prepared"
    return preparing.prepare(real_file, folder), folder


@pytest.fixture
def shop_file(tmp_path: Path) -> Path:
    file = tmp_path / "shop.csv"
    file.write_text(SHOP, encoding="utf-8")
    return file


@pytest.fixture
def shop(preparing: ModuleType, shop_file: Path, tmp_path: Path) -> tuple[Any, Path]:
    folder = tmp_path / "prepared"
    return preparing.prepare(shop_file, folder), folder


def test_a_cancellation_refunds_the_latest_earlier_purchase_of_the_product(
    shop: tuple[Any, Path],
) -> None:
    found = rows(
        shop[1],
        "abroad",
        "select order_id, gross, refunded, refunded_at, status from raw.orders"
        " where status <> 'cancelled' order by 1",
    )
    assert found == [
        ("1", 13.0, 0.0, None, "completed"),
        ("2", 20.0, 10.0, at("2011-04-03T10:00"), "completed"),
    ]
    assert shop[0].refunding == 3


def test_a_cancellation_of_nothing_in_the_file_is_a_cancelled_order(shop: tuple[Any, Path]) -> None:
    found = rows(
        shop[1],
        "abroad",
        "select order_id, gross, refunded, ordered_at from raw.orders where status = 'cancelled'"
        " order by 1",
    )
    assert found == [
        ("C5", 45.0, 0.0, at("2011-04-03T10:00")),
        ("C6", 5.0, 0.0, at("2011-01-02T10:00")),
    ]
    assert shop[0].unmatched == 2


def test_no_more_is_refunded_than_the_order_held(shop: tuple[Any, Path]) -> None:
    (brand,) = {brand for brand in BRANDS[:2] if shop[0].rows[brand]["customers"]}
    found = rows(shop[1], brand, "select gross, refunded, status from raw.orders")
    assert found == [(5.0, 5.0, "returned")]


def test_lines_without_customer_or_price_are_left_out_and_counted(shop: tuple[Any, Path]) -> None:
    done = shop[0]
    assert (done.lines, done.without_customer, done.without_price) == (11, 1, 1)
    assert sum(done.rows[brand]["customers"] for brand in BRANDS) == 2
    assert sum(done.rows[brand]["order_items"] for brand in BRANDS) == 4


def test_a_customer_is_of_the_country_of_the_first_invoice(shop: tuple[Any, Path]) -> None:
    found = rows(shop[1], "abroad", "select customer_id, country, email from raw.customers")
    assert found == [("C100", "France", "customer100@example.com")]


def test_every_brand_is_a_site_of_the_federation(shop: tuple[Any, Path]) -> None:
    settings = load_federation(shop[1] / "federation.yml")
    assert tuple(site.name for site in settings.sites) == BRANDS
    for site in map(site_of, settings.sites):
        with site.open() as warehouse:
            found = warehouse.query("select count(*) as customers from raw.customers")
        assert found["customers"][0].as_py() == shop[0].rows[site.name]["customers"]
        package = site.settings.project / "dbt_packages" / "fed_audience"
        assert (package / "dbt_project.yml").is_file()


def test_every_line_of_the_real_file_is_accounted_for(real: tuple[Any, Path]) -> None:
    done = real[0]
    assert done.lines == 541_909
    assert done.without_customer == 135_080
    assert done.without_price == 40
    assert (done.refunding, done.unmatched) == (7_599, 1_306)
    items = sum(done.rows[brand]["order_items"] for brand in BRANDS)
    assert items + 8_905 + 135_080 + 40 == 541_909


def test_who_belongs_to_which_brand_never_moves(real: tuple[Any, Path]) -> None:
    done, folder = real
    assert [done.rows[brand]["customers"] for brand in BRANDS] == [1_966, 1_983, 422]
    first = [rows(folder, brand, "select min(customer_id) from raw.customers") for brand in BRANDS]
    assert first == [[("C12346",)], [("C12748",)], [("C12347",)]]


def test_the_share_that_buys_again_within_ninety_days(real: tuple[Any, Path]) -> None:
    again, known = 0, 0
    for brand in BRANDS:
        ((bought, customers),) = rows(
            real[1],
            brand,
            "select count(*) filter (customer_id in (select customer_id from raw.orders"
            " where ordered_at >= '2011-09-11' and status <> 'cancelled')), count(*)"
            " from raw.customers where created_at < '2011-09-11'",
        )
        again, known = again + bought, known + customers
    assert known == 3_412
    assert again / known == pytest.approx(0.568, abs=0.005)


@pytest.mark.parametrize("brand", BRANDS)
def test_references_resolve_and_money_adds_up(real: tuple[Any, Path], brand: str) -> None:
    for child, key, parent, name in (
        ("orders", "customer_id", "customers", "customer_id"),
        ("order_items", "order_id", "orders", "order_id"),
        ("consent_events", "source_id", "customers", "customer_id"),
    ):
        orphans = rows(
            real[1],
            brand,
            f"select count(*) from raw.{child} c anti join raw.{parent} p on c.{key} = p.{name}",
        )
        assert orphans == [(0,)], child
    wrong = rows(
        real[1],
        brand,
        "select count(*) from (select gross, refunded, refunded_at, ordered_at,"
        " (select sum(qty * price) from raw.order_items i where i.order_id = o.order_id) as lines"
        " from raw.orders o where status <> 'cancelled') where lines is null"
        " or abs(gross - lines) > 0.006 or refunded > gross or refunded < 0"
        " or (refunded > 0) <> (refunded_at is not null) or refunded_at < ordered_at",
    )
    assert wrong == [(0,)]


def test_generated_consents_follow_the_documented_rule(real: tuple[Any, Path]) -> None:
    ledger = all_events(real[1])
    found = ledger.sql(
        "select purpose, avg((status = 'granted')::int) from events where method = 'checkout'"
        " group by purpose"
    ).fetchall()
    assert dict(found) == {
        "collect": pytest.approx(0.98, abs=0.02),
        "profile": pytest.approx(0.92, abs=0.02),
        "train": pytest.approx(0.85, abs=0.02),
        "share_model": pytest.approx(0.80, abs=0.02),
        "activate:email": pytest.approx(0.70, abs=0.02),
    }
    ((withdrawn, confirmed, people),) = ledger.sql(
        "select count(distinct source_id) filter (status = 'withdrawn'),"
        " count(distinct source_id) filter (status = 'granted' and method = 'preference_centre'),"
        " count(distinct source_id) from events"
    ).fetchall()
    assert people == 4_371
    assert withdrawn / people == pytest.approx(0.04, abs=0.01)
    assert confirmed / people == pytest.approx(0.02, abs=0.01)
    assert ledger.sql("select distinct policy_version from events").fetchall() == [("generated",)]


def test_nobody_shares_statistics_who_refuses_training(real: tuple[Any, Path]) -> None:
    found = all_events(real[1]).sql(
        "select count(*) from events s join events t using (source_id)"
        " where s.purpose = 'share_model' and s.status = 'granted' and s.method = 'checkout'"
        " and t.purpose = 'train' and t.status = 'denied'"
    )
    assert found.fetchall() == [(0,)]


@pytest.mark.parametrize("brand", BRANDS)
def test_the_ledger_is_fresh_never_ahead_and_its_ids_are_unique(
    real: tuple[Any, Path], brand: str
) -> None:
    ((oldest, newest, repeated),) = rows(
        real[1],
        brand,
        "select min(recorded_at - created_at), max(recorded_at),"
        " count(*) - count(distinct consent_event_id)"
        " from raw.consent_events join raw.customers on source_id = customer_id",
    )
    assert oldest.total_seconds() == 0
    assert at("2011-12-09T13:00") <= newest < at("2011-12-10T00:00")
    assert repeated == 0


def test_the_same_file_gives_the_same_tables(
    preparing: ModuleType, real: tuple[Any, Path], real_file: Path, tmp_path: Path
) -> None:
    again = tmp_path / "again"
    assert preparing.prepare(real_file, again) == real[0]
    for brand in BRANDS:
        for table in preparing.TABLES:
            query = f"select md5(string_agg(t::varchar, '' order by rowid)) from raw.{table} t"
            query = query.replace("rowid", "t.rowid")
            assert rows(again, brand, query) == rows(real[1], brand, query), (brand, table)


def test_the_seed_moves_consents_and_nothing_else(preparing: ModuleType, tmp_path: Path) -> None:
    many = HEADER + "".join(
        f"{n},A,RED BAG,1,2011-05-03 10:00:00,5.0,{n}.0,France\n" for n in range(100, 160)
    )
    file = tmp_path / "shop.csv"
    file.write_text(many, encoding="utf-8")
    for name, seed in (("first", 1), ("other", 2)):
        preparing.prepare(file, tmp_path / name, seed=seed)
    for table in preparing.TABLES:
        query = f"from raw.{table}"
        same = rows(tmp_path / "first", "abroad", query) == rows(
            tmp_path / "other", "abroad", query
        )
        assert same == (table != "consent_events")


def test_preparing_again_starts_over(
    preparing: ModuleType, shop: tuple[Any, Path], shop_file: Path
) -> None:
    (shop[1] / "delivered").mkdir()
    preparing.prepare(shop_file, shop[1])
    assert not (shop[1] / "delivered").exists()
    assert [path.name for path in shop[1].parent.iterdir() if path.is_dir()] == ["prepared"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"InvoiceNo,StockCode\n1,A\n", "no column Description, Quantity"),
        (b"\x1f\x8bnot really gzip", "cannot be read"),
        (b"", "Online Retail file"),
        (HEADER.encode() + b"1,A,BAG,1,someday,5.0,1.0,France\n", "column InvoiceDate"),
        (HEADER.encode() + b"1,A,BAG,1,2011-05-03 10:00:00,inf,1.0,France\n", "column UnitPrice"),
        (HEADER.encode() + b"1,A,BAG,1,2011-05-03 10:00:00,5.0,nan,France\n", "column CustomerID"),
    ],
    ids=["columns", "gzip", "empty", "date", "infinite", "nan"],
)
def test_a_file_that_is_not_the_expected_one_leaves_everything_as_it_was(
    preparing: ModuleType, shop: tuple[Any, Path], tmp_path: Path, content: bytes, said: str
) -> None:
    file = tmp_path / ("other.csv.gz" if content.startswith(b"\x1f") else "other.csv")
    file.write_bytes(content)
    with pytest.raises(DataError, match=said) as refused:
        preparing.prepare(file, shop[1])
    assert "\n" not in str(refused.value)
    assert rows(shop[1], "abroad", "select count(*) from raw.customers") == [(1,)]
    assert not list(tmp_path.glob("*.unfinished"))


def test_a_missing_file_is_one_line_and_its_own_exit_code(
    preparing: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        preparing.main([str(tmp_path / "nowhere.csv"), "--folder", str(tmp_path / "out")])
    said = capsys.readouterr().err
    assert left.value.code == DataError.exit_code
    assert said.startswith("prepare.py: ")
    assert said.count("\n") == 1
    assert "nowhere.csv" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_somebody_else_put_there_stays(
    preparing: ModuleType, shop_file: Path, tmp_path: Path, kind: str
) -> None:
    taken = tmp_path / "taken"
    held = taken if kind == "file" else taken / "thesis.txt"
    held.parent.mkdir(exist_ok=True)
    held.write_text("mine", encoding="utf-8")
    with pytest.raises(ResourceError, match="holds something else"):
        preparing.prepare(shop_file, taken)
    assert held.read_text(encoding="utf-8") == "mine"


def test_a_place_that_cannot_be_written_is_one_clear_line(
    preparing: ModuleType, shop_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "blocked").write_text("mine", encoding="utf-8")
    with pytest.raises(FedAudienceError, match="cannot be written"):
        preparing.prepare(shop_file, tmp_path / "blocked" / "prepared")

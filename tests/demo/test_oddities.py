"""Everything that goes wrong in real data is there, at a rate that a pipeline can meet."""

from __future__ import annotations

import duckdb
import pytest

from fed_audience.demo.settings import AS_OF, BRANDS

NAMES = [brand.name for brand in BRANDS]
LATE = "time_trust = 'server' and recorded_at > effective_at + interval 1 day"


def share(raw: duckdb.DuckDBPyConnection, table: str, condition: str) -> float:
    (row,) = raw.execute(
        f"select avg(case when {condition} then 1 else 0 end) from {table}"
    ).fetchall()
    return float(row[0])


def count(raw: duckdb.DuckDBPyConnection, sql: str) -> int:
    (row,) = raw.execute(f"select count(*) from ({sql})").fetchall()
    return int(row[0])


@pytest.mark.parametrize(
    ("table", "condition", "low", "high"),
    [
        ("customers", "birth_year is null", 0.07, 0.13),
        ("customers", "email is null", 0.04, 0.085),
        ("customers", "not regexp_matches(trim(email), '^[^@ ]+@[^@ ]+$')", 0.008, 0.035),
        ("customers", "email <> lower(trim(email))", 0.015, 0.05),
        ("customers", "phone is null", 0.5, 0.75),
        ("customers", "suppressed_at is not null", 0.015, 0.05),
        ("customers", "birth_year > 2008", 0.004, 0.025),
        ("orders", "_loaded_at > ordered_at + interval 2 day", 0.008, 0.04),
        ("orders", "status = 'cancelled'", 0.015, 0.05),
        ("orders", "refunded > 0", 0.04, 0.1),
        ("orders", "discount = 0", 0.3, 0.8),
        ("events", "_loaded_at > occurred_at + interval 12 hour", 0.005, 0.04),
        ("events", "customer_id is null and anonymous_id is not null", 0.08, 0.4),
        ("web_sessions", "customer_id is null and anonymous_id is not null", 0.1, 0.45),
        ("email_engagement", "bounced_at is not null", 0.005, 0.025),
        ("email_engagement", "clicked_at is not null", 0.06, 0.25),
        ("email_engagement", "unsubscribed_at is not null", 0.001, 0.03),
        ("consent_events", "time_trust = 'client'", 0.1, 0.35),
        ("consent_events", "jurisdiction = 'ZZ'", 0.01, 0.06),
        ("consent_events", "is_minor", 0.002, 0.03),
        ("consent_events", "is_minor is null", 0.1, 0.3),
        ("consent_events", "status = 'withdrawn'", 0.008, 0.05),
        ("consent_events", "expires_at < timestamp '2026-10-01'", 0.003, 0.08),
        ("consent_events", "status = 'unknown'", 0.002, 0.012),
        ("consent_events", LATE, 0.005, 0.05),
    ],
)  # fmt: skip
def test_rates_are_sensible_over_all_brands(
    raw: duckdb.DuckDBPyConnection, table: str, condition: str, low: float, high: float
) -> None:
    everywhere = " union all by name ".join(f"select * from {name}.{table}" for name in NAMES)
    found = share(raw, f"({everywhere})", condition)
    assert low <= found <= high


@pytest.mark.parametrize("brand", NAMES)
def test_client_clocks_are_wrong_in_both_directions(
    raw: duckdb.DuckDBPyConnection, brand: str
) -> None:
    client = f"from {brand}.consent_events where time_trust = 'client'"
    assert count(raw, f"select 1 {client} and effective_at > recorded_at + interval 1 day") > 0
    assert count(raw, f"select 1 {client} and effective_at < recorded_at - interval 100 day") > 0
    hours = "abs(epoch(effective_at) - epoch(recorded_at)) between 3600 and 86400"
    assert count(raw, f"select 1 {client} and {hours}") > 0


def test_some_grants_are_dated_after_the_as_of(raw: duckdb.DuckDBPyConnection) -> None:
    found = sum(
        count(
            raw,
            f"select 1 from {name}.consent_events where status = 'granted'"
            f" and effective_at > timestamp '{AS_OF}'",
        )
        for name in NAMES
    )
    assert found > 0


def test_some_say_yes_and_no_in_one_instant(raw: duckdb.DuckDBPyConnection) -> None:
    found = sum(
        count(
            raw,
            f"select 1 from {name}.consent_events where time_trust = 'server'"
            " group by source_system, source_id, purpose, effective_at, recorded_at"
            " having count(distinct status) filter (status in ('granted', 'denied')) = 2",
        )
        for name in NAMES
    )
    assert found > 5


@pytest.mark.parametrize("brand", NAMES)
def test_events_are_delivered_twice_under_another_id(
    raw: duckdb.DuckDBPyConnection, brand: str
) -> None:
    repeated = count(
        raw,
        f"select 1 from {brand}.consent_events"
        " group by source_system, source_id, purpose, status, effective_at, method"
        " having count(distinct consent_event_id) > 1 and count(distinct recorded_at) > 1",
    )
    assert repeated > count(raw, f"select 1 from {brand}.consent_events") * 0.01


@pytest.mark.parametrize("brand", NAMES)
def test_identities_of_one_person_contradict_each_other(
    raw: duckdb.DuckDBPyConnection, brand: str
) -> None:
    contradicted = count(
        raw,
        f"select customer_id, purpose from {brand}.consent_events"
        f" join {brand}.identity_map using (source_system, source_id)"
        " where status in ('granted', 'denied') and purpose in ('profile', 'train')"
        " group by all having count(distinct source_system) > 1 and count(distinct status) = 2",
    )
    assert contradicted > 0


@pytest.mark.parametrize("brand", NAMES)
def test_people_have_several_identities(raw: duckdb.DuckDBPyConnection, brand: str) -> None:
    size = count(raw, f"select 1 from {brand}.customers")
    identities = f"select customer_id from {brand}.identity_map group by 1 having"
    assert count(raw, f"{identities} count(distinct source_system) >= 2") > 0.5 * size
    assert count(raw, f"{identities} count(distinct source_system) = 3") > 0.05 * size
    assert count(raw, f"{identities} bool_or(source_system = 'crm')") == size


def test_a_few_browsers_change_hands(raw: duckdb.DuckDBPyConnection) -> None:
    moved = sum(
        count(
            raw,
            f"select source_id from {name}.identity_map where source_system = 'web'"
            " group by 1 having count(distinct customer_id) = 2 and count(valid_to) = 1",
        )
        for name in NAMES
    )
    assert moved > 0


@pytest.mark.parametrize("brand", NAMES)
def test_the_ledger_is_fresh_at_the_as_of(raw: duckdb.DuckDBPyConnection, brand: str) -> None:
    fresh = f"recorded_at > timestamp '{AS_OF}' - interval 1 hour"
    assert count(raw, f"select 1 from {brand}.consent_events where {fresh}") > 0


def test_jurisdictions_are_mixed(raw: duckdb.DuckDBPyConnection) -> None:
    for name in NAMES:
        rows = raw.execute(f"select distinct jurisdiction from {name}.consent_events").fetchall()
        assert {row[0] for row in rows} >= {"EU", "UK", "US", "ZZ"}
    rows = raw.execute("select distinct jurisdiction from fashion.consent_events").fetchall()
    assert {row[0] for row in rows} == {"EU", "UK", "US", "US-CA", "CH", "ZZ"}


def test_some_people_are_customers_of_two_brands_under_different_ids(
    raw: duckdb.DuckDBPyConnection,
) -> None:
    for left, right in (("fashion", "grocery"), ("fashion", "travel")):
        shared = raw.execute(
            f"select count(*), count(*) filter (l.customer_id = r.customer_id)"
            f" from {left}.customers l join {right}.customers r"
            " on l.email = r.email and l.email like '%.%@%'"
        ).fetchall()[0]
        assert shared[0] > 20
        assert shared[1] == 0


def test_a_person_has_the_same_traits_at_every_brand(raw: duckdb.DuckDBPyConnection) -> None:
    different = count(
        raw,
        "select 1 from fashion.customers l join grocery.customers r"
        " on l.email = r.email and l.email like '%.%@%'"
        " join fashion.truth lt on lt.customer_id = l.customer_id"
        " join grocery.truth rt on rt.customer_id = r.customer_id"
        " where lt.premium_affinity <> rt.premium_affinity or lt.affinity <> rt.affinity",
    )
    assert different == 0


@pytest.mark.parametrize("brand", NAMES)
def test_addresses_and_phones_can_reach_nobody(raw: duckdb.DuckDBPyConnection, brand: str) -> None:
    elsewhere = count(
        raw,
        f"select 1 from {brand}.customers where contains(email, '@')"
        " and not regexp_matches(lower(trim(email)), '@example[.](com|org|net)$')",
    )
    assert elsewhere == 0
    reserved = (
        r"1\d{3}55501\d{2}|447700900\d{3}|442079460\d{3}|44(11[3-8]|1[2-6]1)4960\d{3}"
        r"|33(19900|26191|35301|46571|53649|63998)\d{4}|49(3023125|6990009|4066969|8999998)\d{3}"
    )
    real = count(
        raw,
        f"select 1 from {brand}.customers where phone is not null"
        f" and not regexp_full_match(phone, '[+]({reserved})')",
    )
    assert real == 0


def test_emails_do_not_collide_within_a_brand(raw: duckdb.DuckDBPyConnection) -> None:
    for name in NAMES:
        repeated = count(
            raw,
            f"select email from {name}.customers where regexp_matches(email, '[.].*[0-9]@')"
            " group by lower(trim(email)), email having count(*) > 1",
        )
        assert repeated == 0


def test_unsubscribing_is_a_withdrawal_in_the_ledger(raw: duckdb.DuckDBPyConnection) -> None:
    for name in NAMES:
        unsubscribed = (
            f"select customer_id, unsubscribed_at from {name}.email_engagement"
            " where unsubscribed_at is not null"
        )
        missing = count(
            raw,
            f"select 1 from ({unsubscribed}) u anti join (select m.customer_id, c.effective_at"
            f" from {name}.consent_events c join {name}.identity_map m"
            " using (source_system, source_id)"
            " where c.purpose = 'activate:email' and c.status = 'withdrawn') w"
            " on w.customer_id = u.customer_id and w.effective_at = u.unsubscribed_at",
        )
        assert missing == 0

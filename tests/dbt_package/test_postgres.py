"""The package on PostgreSQL: the same rules, and from the same raw rows the same tables."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from fed_audience.warehouse.control import claim_request, control, verify_build
from tests.dbt_package.conftest import QUOTED, Stage
from tests.dbt_package.postgres_brand import PostgresBrand, refused
from tests.dbt_package.test_package_rules import unit_tests
from tests.same_rows import assert_same

NOW = datetime(2025, 10, 1)  # noqa: DTZ001 - naive and UTC, as everywhere

COMPARED = {
    "fed_training_repurchase": "customer_id",
    "fed_training_high_value": "customer_id",
    "fed_training_premium": "customer_id",
    "fct_customer_features": "customer_id, cutoff_at",
    "int_customer_spine": "customer_id, cutoff_at",
    "int_label_window": "customer_id, cutoff_at",
    "int_consent_ledger": "consent_event_id, subject_id",
    "int_consent_current": "subject_id, purpose",
    "int_contactable": "customer_id",
    "fct_scoring_features": "customer_id",
}


@pytest.mark.parametrize("relation", COMPARED)
def test_every_table_holds_the_rows_that_it_holds_on_duckdb(
    built: Stage, on_postgres: PostgresBrand, relation: str
) -> None:
    statement = f"select * from {relation} order by {COMPARED[relation]}"
    theirs = [dict(zip(built.columns(relation), row, strict=True)) for row in built.rows(statement)]
    ours = on_postgres.table(statement).to_pylist()
    assert ours
    assert_same(ours, theirs)


def test_every_rule_holds(package_on_postgres: Path) -> None:
    statuses = unit_tests(package_on_postgres)
    assert set(statuses.values()) == {"pass"}
    assert len([name for name in statuses if name.startswith("consent_")]) == 10


def test_a_request_is_queued_with_the_build_and_can_be_claimed(on_postgres: PostgresBrand) -> None:
    warehouse = on_postgres.warehouse()
    with pytest.raises(KeyError), warehouse.transaction():  # noqa: PT012 - undone, for other tests
        request = claim_request(warehouse, claimed_by="agent", now=NOW, model_name="repurchase")
        assert request is not None
        assert (request.row_count, request.relation.schema) == (5, "analytics")
        assert request.relation.database == on_postgres.target.dbname
        verify_build(warehouse, request, now=NOW)
        raise KeyError
    warehouse.close()
    statuses = on_postgres.rows(
        f"select model_name, status from {control('training_requests').sql()} order by 1"
    )
    assert statuses == [
        ("high_value", "pending"),
        ("premium", "pending"),
        ("repurchase", "pending"),
    ]


def test_a_withdrawal_counts_as_soon_as_it_is_loaded(on_postgres: PostgresBrand) -> None:
    decided = "select is_consented from int_consent_current where subject_id = 'bob' and purpose ="
    assert on_postgres.rows(f"{decided} 'train'") == [(True,)]
    warehouse = on_postgres.warehouse()
    with pytest.raises(KeyError), warehouse.transaction():  # noqa: PT012 - undone, for other tests
        warehouse.execute(
            "insert into raw.consent_events (consent_event_id, source_system, source_id, purpose,"
            " status, jurisdiction, effective_at, recorded_at, time_trust, is_minor) values"
            " ('late', 'crm', 'bob', 'train', 'withdrawn', 'EU', '2025-09-30', '2025-09-30',"
            " 'server', false)"
        )
        found = warehouse.query(f"{decided} 'train'")
        assert found["is_consented"].to_pylist() == [False]
        raise KeyError
    warehouse.close()


def test_a_refused_table_leaves_the_one_before_it_and_its_request(
    on_postgres: PostgresBrand,
) -> None:
    """On an engine with transactions a failing hook takes its table back with it."""
    count = "select count(*) from fed_training_premium"
    requested = "select * from fed_audience.training_requests order by request_id"
    before = on_postgres.rows(requested)
    model = on_postgres.project / "models" / "training" / "fed_training_premium.sql"
    kept = model.read_text(encoding="utf-8")
    model.write_text(
        "with doubled as (select f.*, 1 as label from {{ ref('fed_audience',"
        " 'fct_customer_features') }} as f cross join generate_series(1, 2))\n"
        "{{ fed_audience.training_set('doubled') }}\n"
    )
    said = refused(on_postgres, "run", "--select", "fed_training_premium")
    model.write_text(kept, encoding="utf-8")
    assert "customers in more than one row" in said
    assert on_postgres.rows(count) == [(5,)]
    assert on_postgres.rows(requested) == before


def test_a_brand_that_lacks_tables_and_columns_builds(sparse_postgres: PostgresBrand) -> None:
    assert sparse_postgres.rows("select count(*) from stg_cdp__events") == [(0,)]
    created = sparse_postgres.rows(
        "select created_at from stg_cdp__customers where customer_id = 'new'"
    )
    # A column with a zone is read as UTC, whatever the zone of the session.
    assert created == [(datetime(2025, 9, 10, 4),)]  # noqa: DTZ001 - naive and UTC


def test_columns_may_have_names_that_need_quotes(sparse_postgres: PostgresBrand) -> None:
    warehouse = sparse_postgres.warehouse()
    request = claim_request(warehouse, claimed_by="agent", now=NOW, model_name="quoted")
    warehouse.close()
    assert request is not None
    assert (request.row_count, request.spec.entity, request.spec.label) == (8, "Order", "Limit")
    assert sparse_postgres.rows('select sum("Limit") from quoted') == [(2,)]


@pytest.fixture(scope="module")
def sparse_postgres(make_postgres_brand: Any) -> PostgresBrand:
    sparse = (Path(__file__).parent / "raw_sparse.sql").read_text(encoding="utf-8")
    brand: PostgresBrand = make_postgres_brand("grocery_on_postgres", sparse)
    for file, text in QUOTED.items():
        (brand.project / "models" / file).write_text(text)
    # The package's own tests have been through both engines; this is about the tables.
    without = (
        "--exclude-resource-type",
        "unit_test",
        "--exclude",
        "test_type:data,package:fed_audience",
    )
    brand.dbt("build", *without, fed_audience__using_identity_map=False)
    return brand

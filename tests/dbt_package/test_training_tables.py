"""Which rows may train, what they are labelled, and what they carry."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.dbt_package.conftest import Brand, Stage

TABLES = ("fed_training_repurchase", "fed_training_high_value", "fed_training_premium")


def labels(stage: Stage, table: str) -> dict[str, int]:
    return dict(stage.rows(f"select customer_id, label from {table}"))


def test_a_row_needs_train_and_share_model_and_a_profile(built: Stage) -> None:
    for table in TABLES:
        # Not cat (no train), dan (no share_model), eve and fay (no profile), hal (a minor),
        # nor new (registered later).
        assert set(labels(built, table)) == {"ann", "bob", "gus", "ida", "jon"}


def test_repurchase_is_an_order_from_the_cutoff_up_to_the_horizon(built: Stage) -> None:
    # ann ordered on the cutoff, gus in the last second; bob a day late, ida cancelled, and jon's
    # order arrived too late.
    assert labels(built, "fed_training_repurchase") == {
        "ann": 1,
        "bob": 0,
        "gus": 1,
        "ida": 0,
        "jon": 0,
    }


def test_high_value_is_the_top_tenth_by_revenue_and_never_nothing(built: Stage) -> None:
    assert labels(built, "fed_training_high_value") == {
        "ann": 1,
        "bob": 0,
        "gus": 0,
        "ida": 0,
        "jon": 0,
    }


def test_seeds_of_one_brand_stand_against_its_other_customers(built: Stage) -> None:
    assert labels(built, "fed_training_premium") == {
        "ann": 0,
        "bob": 0,
        "gus": 1,
        "ida": 0,
        "jon": 0,
    }


def test_rows_carry_the_build_and_the_instant_of_consent_and_no_identifier(built: Stage) -> None:
    for table in TABLES:
        row = built.record(f"select * from {table} where customer_id = 'ann'")
        assert str(row["cutoff_at"]) == "2025-08-30 00:00:00"
        assert str(row["_fed_as_of"]) == "2025-10-01 00:00:00"
        assert len(row["_fed_build_id"]) == 36
        others = set(row) - {"customer_id", "cutoff_at", "label", "_fed_as_of", "_fed_build_id"}
        assert all(name.startswith("f_") for name in others)
        assert len(others) > 40


def test_an_analyst_builds_one_model_on_a_fresh_warehouse(sparse: Stage) -> None:
    # Tests of the trainings, scores and audiences that were not chosen have not been run, as the
    # build would have failed; nor is this the seed brand of fed_training_premium.
    found = sparse.rows(
        "select table_name from information_schema.tables"
        " where table_name like 'fed_training%' or table_name like 'fct_%'"
    )
    assert {row[0] for row in found} == {"fed_training_repurchase", "fct_customer_features"}
    assert sparse.said("fed_consented_to_fed_training_repurchase")
    assert not sparse.said("fed_consented_to_fed_training_high_value")


@pytest.mark.usefixtures("refused")
def test_a_ready_made_training_can_be_switched_off(sparse_brand: Brand) -> None:
    manifest = json.loads((sparse_brand.project / "target" / "manifest.json").read_text())
    named = {one.rsplit(".", 1)[-1] for one in (*manifest["nodes"], *manifest["exposures"])}
    assert {"fed_training_repurchase", "federated_repurchase"} <= named
    assert not {"fed_training_high_value", "federated_high_value"} & named

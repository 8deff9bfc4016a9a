"""When the post-hook queues a training, and what dbt's log says when it does not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.dbt_package.conftest import Brand, Stage, Stages

REQUESTS = "select * from fed_audience.training_requests where model_name = 'repurchase'"


def test_a_build_queues_each_model_exactly_once(built: Stage) -> None:
    rows = built.rows("select model_name, status from fed_audience.training_requests order by 1")
    assert rows == [("high_value", "pending"), ("premium", "pending"), ("repurchase", "pending")]
    assert built.said("training of 'repurchase' queued (5 rows)")


def test_a_request_names_the_build_the_rows_and_the_analysts_words(built: Stage) -> None:
    request = built.record(REQUESTS)
    build = built.rows("select distinct _fed_build_id from fed_training_repurchase")
    assert [(request["build_id"],)] == build
    assert request["row_count"] == 5
    assert request["relation"] == '"fashion"."main"."fed_training_repurchase"'
    assert str(request["as_of"]) == "2025-10-01 00:00:00"
    assert json.loads(request["spec"]) == {
        "model": "repurchase",
        "task": "propensity",
        "label": "label",
        "entity": "customer_id",
        "purpose": "train",
        "partners": ["grocery", "travel"],
        "cadence_days": 7,
    }


def test_a_lookalike_request_names_its_mode_and_seed_brand(built: Stage) -> None:
    spec = json.loads(
        built.rows("select spec from fed_audience.training_requests where model_name = 'premium'")[
            0
        ][0]
    )
    assert (spec["task"], spec["mode"], spec["seed_brand"]) == (
        "lookalike",
        "seed_brand",
        "fashion",
    )


def test_an_empty_build_queues_nothing_and_says_so(stages: Stages) -> None:
    assert stages.empty.rows(REQUESTS) == []
    assert stages.empty.said("training of 'repurchase' not queued: it was built with --empty")


def test_a_rebuild_points_the_waiting_request_at_the_new_rows(stages: Stages) -> None:
    before = stages.built.record(REQUESTS)
    after = stages.rebuilt_with_future.record(REQUESTS)
    build = stages.rebuilt_with_future.rows(
        "select distinct _fed_build_id from fed_training_repurchase"
    )
    assert after["request_id"] == before["request_id"]
    assert [(after["build_id"],)] == build != [(before["build_id"],)]


def test_a_trained_model_is_not_queued_again_within_its_cadence(stages: Stages) -> None:
    assert stages.trained.record(REQUESTS)["status"] == "succeeded"
    assert stages.trained.said(
        "not queued: it was last requested as of 2025-10-01 00:00:00 (succeeded)"
    )
    assert stages.trained.said("its cadence is 7 days")


def test_a_model_is_queued_again_once_its_cadence_is_over(stages: Stages) -> None:
    statuses = stages.a_week_later.rows(
        "select status, as_of::date::varchar from fed_audience.training_requests "
        "where model_name = 'repurchase' order by as_of"
    )
    assert statuses == [("succeeded", "2025-10-01"), ("pending", "2025-10-08")]


def test_a_target_that_may_not_queue_says_so(stages: Stages) -> None:
    assert stages.other_target.rows(REQUESTS) == []
    assert stages.other_target.said("target 'demo' is not in fed_audience__targets (prod)")


def test_one_class_only_is_not_queued(sparse: Stage) -> None:
    assert sparse.said("training of 'repurchase' not queued: all 5 rows have the same label")
    assert sparse.rows(REQUESTS) == []


def test_analysts_bring_their_own_features(sparse: Stage) -> None:
    # A feature model needs no profile: fay trains. cat and dan still do not, hal never.
    assert dict(sparse.rows("select who, bought from own_features")) == {
        name: int(name in {"ann", "bob"})
        for name in ("ann", "bob", "eve", "fay", "gus", "ida", "jon", "new")
    }
    requests = sparse.rows(
        "select model_name, row_count, status from fed_audience.training_requests order by 1"
    )
    assert requests == [("own", 8, "pending"), ("quoted", 8, "pending")]


def test_columns_may_have_names_that_need_quotes(sparse: Stage) -> None:
    assert sparse.rows('select "Order", "Limit" from quoted order by 1 limit 3') == [
        ("ann", 1),
        ("bob", 1),
        ("eve", 0),
    ]


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("twice", "8 customers in more than one row (who, cut_at)"),
        ("label_of_two", "bought lies in 0..2; a propensity label is 0 or 1"),
        ("with_email", "carries 'email', which names a person"),
        ("on_customers", "carries 'email', which names a person"),
        ("on_orders", "has no column 'who'; it has order_id"),
        ("guessing", "has task 'guess'; allowed: propensity, lookalike, demand, multiclass"),
        ("nameless", "has no 'model': name the audience model it trains"),
        ("for_ads", "has purpose 'activate:ads'; a training table is for 'train'"),
        (
            "seen_later",
            "the row as a whole is known only after the cutoff in 8 rows (seen_at > cut_at)",
        ),
        ("opened_later", "f_length is known only after the cutoff in 8 rows (seen_at > cut_at)"),
        ("never_seen", "the row as a whole is known only after the cutoff in 8 rows"),
        ("a_date_itself", "f_last_opened is known only after the cutoff in 8 rows (f_last_opened"),
        ("undated", "has no column 'computed', which config.meta.fed_audience names as cutoff"),
        ("unlabelled", "has no column 'label'; build it with fed_audience.training_set"),
    ],
)
def test_a_training_table_that_must_not_be_stops_its_build(
    refused: dict[str, str], model: str, words: str
) -> None:
    assert words in refused[model]


def test_a_refused_training_table_leaves_neither_table_nor_request(
    refused: dict[str, str], sparse: Stage, sparse_brand: Brand
) -> None:
    after = sparse_brand.now()
    tables = {row[0] for row in after.rows("select table_name from information_schema.tables")}
    assert not tables & set(refused)
    same = "select request_id from fed_audience.training_requests"
    assert after.rows(same) == sparse.rows(same)

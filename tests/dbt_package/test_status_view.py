"""fed_audience_status: what an analyst sees of each audience model after a build."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.dbt_package.conftest import Stage
    from tests.dbt_package.postgres_brand import PostgresBrand

TRAINED = """
update fed_audience.training_requests set status = '{request}', claimed_by = 'fashion-agent',
    detail = 'said the agent' where model_name = 'repurchase';
insert into fed_audience.training_runs
    (run_id, request_id, model_name, status, started_at, partners, rows_used, rows_withdrawn)
values ('r1', 'q', 'repurchase', 'succeeded', '2025-09-20', 'grocery, travel', 4, 1),
    ('r2', 'q', 'repurchase', '{run}', '2025-09-30', 'grocery', 3, 0);
insert into fed_audience.model_registry
    (model_name, model_version, run_id, is_active, created_at, model_sha256, model_text, encoder,
    is_rank)
values ('repurchase', 'v1', 'r0', false, '2025-08-01', '', '', '', false),
    ('repurchase', 'v2', 'r1', true, '2025-09-20 01:00', '', '', '', false);
insert into fed_audience.scores
    (model_name, model_version, customer_id, score, is_rank, scored_at)
values
    ('repurchase', 'v1', 'ann', 0.5, false, '2025-08-02'),
    ('repurchase', 'v2', 'ann', 0.5, false, '2025-09-21'),
    ('repurchase', 'v2', 'bob', 0.5, false, '2025-09-22');
"""
STATUS = "select * from fed_audience_status where model_name = 'repurchase'"


def status(stage: Stage, request: str, run: str) -> dict[str, Any]:
    stage.execute(TRAINED.format(request=request, run=run))
    return stage.record(STATUS)


def test_after_a_build_every_model_waits_for_its_agent(built: Stage) -> None:
    rows = built.rows(
        "select model_name, state, rows_requested, model_version, people_scored, is_consent_stale"
        " from fed_audience_status order by 1"
    )
    assert rows == [
        (model, "waiting", 5, None, 0, False) for model in ("high_value", "premium", "repurchase")
    ]


def test_a_trained_model_names_its_run_and_what_it_stands_on(own_copy: Stage) -> None:
    found = status(own_copy, "succeeded", "succeeded")
    assert found["state"] == "trained"
    assert (found["run_id"], found["partners"], found["rows_used"]) == ("r2", "grocery", 3)
    # The version that scores came of the run before; consent is as old as the start of that.
    assert (found["model_version"], str(found["consent_as_of"])) == ("v2", "2025-09-20 00:00:00")
    assert (found["people_scored"], str(found["scored_at"])) == (2, "2025-09-22 00:00:00")


@pytest.mark.parametrize(
    ("asked", "run", "state"),
    [
        ("claimed", "running", "training"),
        ("stale", "succeeded", "stale"),
        ("failed", "failed", "failed"),
        ("cancelled", "succeeded", "cancelled"),
        ("succeeded", "interrupted", "interrupted"),
    ],
)
def test_the_last_request_and_run_say_how_it_stands(
    own_copy: Stage, asked: str, run: str, state: str
) -> None:
    found = status(own_copy, asked, run)
    assert (found["state"], found["detail"]) == (state, "said the agent")


def test_withdrawals_that_the_model_has_not_heard_of_are_counted(own_copy: Stage) -> None:
    assert status(own_copy, "succeeded", "succeeded")["people_withdrawn_since"] == 0
    own_copy.withdraw("g-bob-train")
    own_copy.withdraw("g-ann-activate:email")
    assert own_copy.record(STATUS)["people_withdrawn_since"] == 1


def test_consent_that_was_last_heard_of_too_long_ago_is_stale(own_copy: Stage) -> None:
    fresh = own_copy.record(STATUS)
    assert (fresh["consent_age_hours"], fresh["is_consent_stale"]) == (12, False)
    own_copy.execute("delete from raw.consent_events where recorded_at > '2025-09-29'")
    old = own_copy.record(STATUS)
    assert old["consent_age_hours"] > 24
    assert old["is_consent_stale"]
    own_copy.execute("delete from raw.consent_events")
    nothing = own_copy.record(STATUS)
    assert (nothing["consent_age_hours"], nothing["is_consent_stale"]) == (None, True)


def test_it_says_the_same_on_postgresql(built: Stage, on_postgres: PostgresBrand) -> None:
    columns = "model_name, state, rows_requested, people_scored, consent_age_hours"
    statement = f"select {columns} from fed_audience_status order by model_name"
    assert on_postgres.rows(statement) == built.rows(statement)

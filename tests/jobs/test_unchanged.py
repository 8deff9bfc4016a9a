"""A model is trained again when what it is made of is no longer the same, and only then."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from fed_audience.jobs.egress import EgressTally
from fed_audience.jobs.participants import Claims
from fed_audience.jobs.sites import site_of
from fed_audience.jobs.train import train_if_changed, train_model
from fed_audience.jobs.training_cohort import assemble
from fed_audience.jobs.unchanged import Comparison, Unchanged, compare, inputs_of
from tests.jobs.small_federation import BRANDS, KEY, NOW, SmallFederation

LATER = NOW + timedelta(hours=20)
WITHOUT_VISITS = (
    "update fed_audience.training_requests set spec = replace(spec, 'propensity\"',"
    ' \'propensity", "exclude_features": ["f_visits"]\')'
)


def compared(federation: SmallFederation, key: bytes = KEY, **changes: Any) -> Comparison:
    settings = federation.settings
    model = settings.models[0].model_copy(update=changes)
    sites = [site_of(one) for one in settings.sites]
    claims = Claims(sites, model.name, LATER)
    cohort = assemble(settings, model, None, sites, claims, LATER)
    return compare(model.name, sites, inputs_of(settings, model, cohort, key))


def test_another_build_of_the_same_rows_trains_nothing(trained: SmallFederation) -> None:
    run = trained.value("ant", "select run_id from fed_audience.model_registry")
    tally, settings = EgressTally(), trained.settings
    same = train_if_changed(
        settings, settings.models[0], as_of=LATER, category_key=KEY, on_message=tally
    )
    assert isinstance(same, Unchanged)
    assert (same.run_id, same.trained_at) == (run, NOW)
    assert tally.rows() == []
    assert trained.requests() == {"ant": "unchanged", "bee": "unchanged"}
    detail = trained.value("bee", "select detail from fed_audience.training_requests")
    assert detail == str(same)
    for brand in BRANDS:
        assert trained.value(brand, "select count(*) from fed_audience.training_runs") == 1


def test_the_same_model_of_another_run_is_kept_under_that_run(trained: SmallFederation) -> None:
    model = trained.settings.models[0]
    again = train_model(trained.settings, model, as_of=LATER, category_key=KEY)
    assert again.why == ()
    assert trained.requests() == {"ant": "succeeded", "bee": "succeeded"}
    registry = "select {} from fed_audience.model_registry"
    for brand in BRANDS:
        assert trained.value(brand, registry.format("count(*)")) == 1
        assert trained.value(brand, registry.format("run_id")) == again.manifest.run_id


FORGOTTEN = "update fed_audience.model_registry set trained_on = null"


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("update fed_training_repurchase set f_spend = f_spend + 1 where customer_id = 'bee007'",
         "rows, features or consent at bee"),
        ("update int_consent_ledger set status = 'withdrawn' where subject_id = 'bee007'",
         "rows, features or consent at bee"),
        (FORGOTTEN, "no training on record at ant"),
        (WITHOUT_VISITS, "meta.fed_audience of the training model"),
    ],
)  # fmt: skip
def test_what_changed_is_said(trained: SmallFederation, sql: str, why: str) -> None:
    for brand in BRANDS:
        trained.execute(brand, sql)
    assert compared(trained) == Comparison(None, (why,))


@pytest.mark.parametrize(
    "changes",
    [
        {"parameters": {"n_estimators": 5, "max_depth": 2}},
        {"holdout_fraction": 0.3},
        {"key": b"another key of the categories...."},
    ],
)
def test_other_settings_of_the_model_train_it(
    trained: SmallFederation, changes: dict[str, Any]
) -> None:
    assert compared(trained, **changes) == Comparison(None, ("the model's settings",))


def test_who_may_train_and_how_often_is_no_other_model(trained: SmallFederation) -> None:
    trained.execute(
        "ant",
        "update fed_audience.training_requests set spec ="
        " replace(spec, 'propensity\"', 'propensity\", \"cadence_days\": 9')",
    )
    assert compared(trained).unchanged is not None


def test_why_a_rule_was_set_aside_trains_nothing(trained: SmallFederation) -> None:
    reason: dict[str, Any] = {"override_small_change": "agreed in June", "override_by": "officer"}
    assert compared(trained, **reason).unchanged is not None


def test_what_is_compared_is_the_active_version(trained: SmallFederation) -> None:
    trained.execute("bee", "update fed_audience.model_registry set is_active = false")
    assert compared(trained) == Comparison(None, ("no training on record at bee",))


def test_models_of_different_runs_are_trained_anew(trained: SmallFederation) -> None:
    trained.execute("bee", "update fed_audience.model_registry set run_id = 'another'")
    assert compared(trained) == Comparison(None, ("models of different runs at the sites",))

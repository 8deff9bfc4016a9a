"""A brand says which table of its own is scored, and where; consent decides in either place."""

from __future__ import annotations

import pytest

from fed_audience.errors import ConfigError, DataError
from fed_audience.jobs.score import score_model
from fed_audience.jobs.train import train_model
from tests.jobs.small_federation import CUSTOMERS, NOW, SmallFederation

KEY = b"a category key of both"
OWN = (
    "create view own_customers as select customer_id as person, f_spend, f_visits, f_channel"
    " from fed_training_repurchase where customer_id <> 'ant000'"
)
WITHOUT_VISITS = (
    "create or replace view fct_scoring_features as"
    " select customer_id, cutoff_at, f_spend, f_channel from fed_training_repurchase"
)
WITHDRAWN = (
    "update int_consent_ledger set status = 'withdrawn' where purpose = 'profile'"
    " and subject_id = 'ant001'"
)


def score(federation: SmallFederation) -> dict[str, int]:
    settings = federation.settings
    done = score_model(settings, settings.model("repurchase"), as_of=NOW, category_key=KEY)
    return {one.site: one.customers for one in done}


def held(federation: SmallFederation) -> dict[str, float]:
    with federation.site("ant").open() as warehouse:
        rows = warehouse.query("select customer_id, score from fed_audience.scores").to_pylist()
    return {row["customer_id"]: row["score"] for row in rows}


def test_both_places_score_the_same_people_alike(small_federation: SmallFederation) -> None:
    settings = small_federation.settings
    train_model(settings, settings.model("repurchase"), as_of=NOW, category_key=KEY)
    assert score(small_federation) == {"ant": CUSTOMERS, "bee": CUSTOMERS}
    small_federation.execute("ant", OWN)
    small_federation.execute("ant", WITHDRAWN)
    found = []
    for options in ("", ", in_warehouse: true"):
        scoring = f"{{repurchase: {{table: own_customers, entity: person{options}}}}}"
        text = small_federation.config.read_text()
        line = next(one for one in text.splitlines() if "name: ant," in one)
        small_federation.edit(line, f"  - {{name: ant, project: ant, scoring: {scoring}}}")
        assert score(small_federation) == {"ant": CUSTOMERS - 2, "bee": CUSTOMERS}
        found.append(held(small_federation))
    agent, warehouse = found
    assert agent.keys() == warehouse.keys()
    assert {"ant000", "ant001"}.isdisjoint(agent)
    assert len(set(agent.values())) > 2
    assert max(abs(agent[one] - warehouse[one]) for one in agent) <= 1e-12


def test_a_feature_that_is_gone_since_the_training_is_named_and_keeps_the_old_scores(
    small_federation: SmallFederation,
) -> None:
    settings = small_federation.settings
    train_model(settings, settings.model("repurchase"), as_of=NOW, category_key=KEY)
    score(small_federation)
    before = held(small_federation)
    small_federation.execute("ant", WITHOUT_VISITS)
    with pytest.raises(DataError, match=r"ant: features .* any more; value: f_visits; looked in"):
        score(small_federation)
    assert held(small_federation) == before


def test_a_feature_that_the_brand_never_had_is_missing_in_its_scores(
    small_federation: SmallFederation,
) -> None:
    settings = small_federation.settings
    for statement in (WITHOUT_VISITS, "alter table fed_training_repurchase drop f_visits"):
        small_federation.execute("ant", statement)
    train_model(settings, settings.model("repurchase"), as_of=NOW, category_key=KEY)
    assert score(small_federation) == {"ant": CUSTOMERS, "bee": CUSTOMERS}


def test_a_model_that_is_not_declared_is_named(small_federation: SmallFederation) -> None:
    small_federation.edit("project: ant}", "project: ant, scoring: {repurchases: {}}}")
    with pytest.raises(ConfigError, match=r"scoring of model 'repurchases'.*'repurchase'"):
        _ = small_federation.settings

"""Consent counts as it stands when a person is used, not as it stood when something was built."""

from __future__ import annotations

from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
from pydantic import SecretStr

from fed_audience.errors import ConsentError
from fed_audience.jobs.audience import build_audience
from fed_audience.jobs.consented_rows import ConsentedRows
from fed_audience.jobs.pipeline import Listeners, Secrets, run_pipeline
from fed_audience.jobs.score import score_model
from fed_audience.jobs.sync import plan_audience, sync_audience
from fed_audience.jobs.train import train_model
from tests.jobs.small_federation import CUSTOMERS, KEY, NOW, SECRETS, SmallFederation

if TYPE_CHECKING:
    from fed_audience.federation.contract.terms import ModelTerms

SECRET = SecretStr(SECRETS["FED_AUDIENCE_STATE_KEY"])
MINUTE = timedelta(minutes=1)


def score(federation: SmallFederation, at: datetime = NOW) -> None:
    settings = federation.settings
    list(score_model(settings, settings.models[0], as_of=at, category_key=KEY))


def cut(federation: SmallFederation, at: datetime = NOW) -> str:
    """Choose the audience; return one member at ant."""
    settings = federation.settings
    build_audience(settings, settings.audiences[0], as_of=at, key=KEY)
    return str(
        federation.value("ant", "select min(customer_id) from fed_audience.audience_members")
    )


def deliver(federation: SmallFederation, at: datetime) -> dict[str, int]:
    """Sync the audience; return what happened at ant, by count."""
    settings = federation.settings
    done = sync_audience(
        settings, settings.audiences[0], base=federation.folder, as_of=at, secret=SECRET
    )
    report = next(one.report for one in done if one.site == "ant")
    return {"added": report.added, "withdrawn": report.withdrawn, "removed": report.removed}


@pytest.mark.parametrize("in_warehouse", [False, True])
def test_who_lost_profile_since_the_build_is_not_scored(
    trained: SmallFederation, *, in_warehouse: bool
) -> None:
    if in_warehouse:
        scoring = "scoring: {repurchase: {in_warehouse: true}}"
        trained.edit("project: ant}", f"project: ant, {scoring}}}")
    trained.withdraw("ant007", "profile")
    # What dbt built still has the person, as a table does, and a view of an instant that is over.
    people = "select count(*) from fct_scoring_features where customer_id = 'ant007'"
    assert trained.value("ant", people) == 1
    score(trained)
    scores = "select count(*) from fed_audience.scores"
    assert trained.value("ant", scores) == CUSTOMERS - 1
    assert trained.value("ant", f"{scores} where customer_id = 'ant007'") == 0


def test_a_member_who_lost_profile_is_not_sent_and_is_removed_where_known(
    trained: SmallFederation,
) -> None:
    score(trained)
    member = cut(trained)
    chosen = int(str(trained.value("ant", "select count(*) from fed_audience.audience_members")))
    trained.withdraw(member, "profile", at=NOW + MINUTE)
    assert deliver(trained, NOW + 2 * MINUTE) == {
        "added": chosen - 1,
        "withdrawn": 0,
        "removed": 0,
    }
    other = str(
        trained.value(
            "ant",
            "select min(customer_id) from fed_audience.audience_members"
            f" where customer_id <> '{member}'",
        )
    )
    trained.withdraw(other, "profile", at=NOW + 3 * MINUTE)
    assert deliver(trained, NOW + 4 * MINUTE) == {"added": 0, "withdrawn": 1, "removed": 0}


def test_a_withdrawal_during_a_run_is_heeded_by_every_later_step(
    small_federation: SmallFederation,
) -> None:
    now = NOW
    settings = small_federation.settings

    def step(words: str) -> None:
        nonlocal now
        now += MINUTE
        if words.startswith("score"):
            small_federation.withdraw("ant007", "profile", at=now - MINUTE / 2)
        if words.startswith("deliver"):
            members = "select min(customer_id) from fed_audience.audience_members"
            member = str(small_federation.value("ant", members))
            small_federation.withdraw(member, "activate:email", at=now - MINUTE / 2)

    outcome = run_pipeline(
        settings,
        base=small_federation.folder,
        as_of=NOW,
        clock=lambda: now,
        secrets=Secrets(SecretStr("c" * 32), SECRET),
        listeners=Listeners(on_step=step),
    )
    (ant,) = (one for one in outcome.scored["repurchase"] if one.site == "ant")
    assert ant.customers == CUSTOMERS - 1
    (sent,) = (one.report for one in outcome.syncs if one.site == "ant")
    chosen = next(one.cut.count for one in outcome.audiences["top"] if one.site == "ant")
    assert sent.added == chosen - 1


def test_a_refusal_counts_however_old_the_instant_asked_for(trained: SmallFederation) -> None:
    score(trained)
    member = cut(trained)
    trained.withdraw(member, "activate:email", at=NOW + MINUTE)
    settings = trained.settings
    plans = plan_audience(
        settings, settings.audiences[0], base=trained.folder, as_of=NOW, secret=SECRET
    )
    assert sum(plan.plan.suppressed.get("withdrawn", 0) for plan in plans) == 1
    chosen = int(str(trained.value("ant", "select count(*) from fed_audience.audience_members")))
    assert deliver(trained, NOW)["added"] == chosen - 1


def test_who_refused_since_the_instant_asked_for_neither_trains_nor_is_scored(
    trained: SmallFederation,
) -> None:
    trained.withdraw("ant007", "train", "profile", at=NOW + MINUTE)
    settings = trained.settings
    made = train_model(settings, settings.models[0], as_of=NOW, category_key=KEY)
    (ant,) = (one for one in made.participants if one.site.name == "ant")
    assert "ant007" not in ant.rows.table["customer_id"].to_pylist()
    score(trained)
    assert trained.value("ant", "select count(*) from fed_audience.scores") == CUSTOMERS - 1


def test_a_ledger_that_is_not_fed_any_more_stops_training_and_scoring(
    trained: SmallFederation,
) -> None:
    settings, late = trained.settings, NOW + timedelta(hours=26)
    words = r"ledger is too old.*looked in: ant, .*load the consent source again"
    with pytest.raises(ConsentError, match=words):
        train_model(settings, settings.models[0], as_of=late, category_key=KEY)
    with pytest.raises(ConsentError, match=words):
        score(trained, late)
    assert trained.value("ant", "select count(*) from fed_audience.scores") == 0
    assert trained.requests() == {"ant": "pending", "bee": "pending"}


def test_rows_that_wait_for_their_run_are_read_again(trained: SmallFederation) -> None:
    settings = trained.settings
    made = train_model(settings, settings.models[0], as_of=NOW, category_key=KEY)
    (ant,) = (one for one in made.participants if one.site.name == "ant")
    assert ant.request is not None
    clock, terms = [NOW], cast("ModelTerms", SimpleNamespace(holdout_fraction=0.0))
    for person, waits, gone in (("ant000", timedelta(0), 0), ("ant001", 6 * MINUTE, 1)):
        rows = ConsentedRows(ant.site, ant.request, made.manifest, terms, lambda: clock[0])
        before = rows.participant.rows.table.num_rows
        trained.withdraw(person, "train", at=clock[0])
        clock[0] += waits
        assert rows.as_table().num_rows == before - gone
        # Whoever asks again is given the rows as they are by then.
        assert rows.as_table().num_rows == before - 1

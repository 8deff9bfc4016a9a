"""After a person withdraws or is erased: what is removed, what is certified, what is due."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from fed_audience.activation.erasure import deliveries_of
from fed_audience.audit.fields import TIME_FORMAT
from fed_audience.errors import AuditError, ConfigError, ConsentError, DataError
from fed_audience.jobs.audience import build_audience
from fed_audience.jobs.certificate import Certificate, issue_certificate
from fed_audience.jobs.erasure import Erasure, erase_person
from fed_audience.jobs.federation_status import FederationStatus, status_lines
from fed_audience.jobs.members import Members
from fed_audience.jobs.own_retraining import with_retraining
from fed_audience.jobs.participants import Claims
from fed_audience.jobs.retraining_due import RetrainingDue, retraining_due
from fed_audience.jobs.score import score_model
from fed_audience.jobs.sites import site_of
from fed_audience.jobs.sync import sync_audience
from fed_audience.jobs.train import train_model
from fed_audience.jobs.training_cohort import assemble
from fed_audience.warehouse.protocol import Relation
from tests.jobs.small_federation import KEY, NOW, SECRETS, SmallFederation

ADA = "ant007"
SECRET = SecretStr(SECRETS["FED_AUDIENCE_STATE_KEY"])
LATER = NOW + timedelta(hours=1)


def certified(federation: SmallFederation, customer: str = ADA) -> Certificate:
    settings = federation.settings
    site = federation.site(customer[:3])
    identity = Members(settings).identity(site.name)
    return issue_certificate(settings, site, customer, identity=identity, secret=SECRET, now=LATER)


def erase(federation: SmallFederation, customer: str = ADA, **how: Any) -> Erasure:
    return erase_person(federation.site("ant"), customer, secret=SECRET, now=LATER, **how)


def score(federation: SmallFederation) -> None:
    settings = federation.settings
    list(score_model(settings, settings.models[0], as_of=LATER, category_key=KEY))


def deliver(federation: SmallFederation) -> int:
    """Cut the audience and sync it; return how many withdrawals were acknowledged at ant."""
    settings = federation.settings
    audience = settings.audiences[0]
    build_audience(settings, audience, as_of=LATER, key=KEY)
    done = sync_audience(settings, audience, base=federation.folder, as_of=LATER, secret=SECRET)
    return sum(one.report.withdrawn for one in done if one.site == "ant")


def due(federation: SmallFederation, days: int = 0) -> tuple[RetrainingDue, ...]:
    settings = federation.settings
    sites = [site_of(one) for one in settings.sites]
    return retraining_due(settings, sites, LATER + timedelta(days=days))


def count(federation: SmallFederation, table: str, customer: str = ADA) -> object:
    sql = f"select count(*) from fed_audience.{table} where customer_id = '{customer}'"
    return federation.value(customer[:3], sql)


def everything_written(federation: SmallFederation) -> str:
    """All that our own tables at ant hold, but scores and members, which name customers."""
    tables = ("erasures", "training_people", "sync_state", "sync_run", "erasure_pending")
    with federation.site("ant").open() as warehouse:
        found = [Relation("fed_audience", one) for one in tables]
        return "".join(
            str(warehouse.query(f"select * from {one.sql()}").to_pylist())
            for one in found
            if warehouse.relation_exists(one)
        )


def test_a_certificate_says_which_models_hold_the_person_and_until_when(
    trained: SmallFederation,
) -> None:
    trained.withdraw(ADA, "train")
    found = certified(trained)
    document = found.document
    assert document["withdrawn"] == [
        {"purpose": "train", "rule": "withdrawn", "since": NOW.strftime(TIME_FORMAT)}
    ]
    assert document["training"]["excluded_since"] == NOW.strftime(TIME_FORMAT)
    (model,) = document["training"]["models"]
    assert model["trained_on_the_person"] is True
    assert model["active"] is True
    assert model["retrain_by"] == (NOW + timedelta(days=30)).strftime(TIME_FORMAT)
    (point,) = found.open_points
    assert point == (
        f"repurchase version {model['version']} holds an influence of the person; "
        "it is to be trained again by 2026-07-01"
    )
    assert "ant007" not in found.to_json()


def test_somebody_who_was_not_in_the_training_set_is_in_no_model(
    trained: SmallFederation,
) -> None:
    never = "ant299"  # never granted `train`
    trained.withdraw(never, "train")
    (model,) = certified(trained, never).document["training"]["models"]
    assert model["trained_on_the_person"] is False
    assert model["retrain_by"] is None


def test_where_nobody_wrote_it_down_the_person_counts_as_in_it(trained: SmallFederation) -> None:
    trained.execute("ant", "drop table fed_audience.training_people")
    trained.withdraw(ADA, "share_model")
    (model,) = certified(trained).document["training"]["models"]
    assert model["trained_on_the_person"] == "not on record"
    assert model["retrain_by"] == (NOW + timedelta(days=30)).strftime(TIME_FORMAT)


def test_only_what_was_withdrawn_is_removed(trained: SmallFederation) -> None:
    score(trained)
    deliver(trained)
    sql = "select min(customer_id) from fed_audience.audience_members"
    member = str(trained.value("ant", sql))
    trained.withdraw(member, "activate:email")
    document = certified(trained, member).document
    assert count(trained, "scores", member) == 1
    assert count(trained, "audience_members", member) == 0
    assert document["audiences"]["removed_with_this_certificate"] == 1
    assert document["audiences"]["without_the_person"][0]["audience"] == "top"
    assert document["scores"]["with_the_person"] == ["repurchase"]
    (sent,) = document["destinations"]
    assert (sent["destination"], sent["state"]) == ("files", "not confirmed as removed")
    assert deliver(trained) == 1
    (sent,) = certified(trained, member).document["destinations"]
    assert sent["state"] == "removed"


def test_scores_go_with_the_purpose_profile(trained: SmallFederation) -> None:
    score(trained)
    trained.withdraw(ADA, "profile")
    scores = certified(trained).document["scores"]
    assert scores["removed_with_this_certificate"] == 1
    assert scores["without_the_person"] == [
        {"model": "repurchase", "as_of": LATER.strftime(TIME_FORMAT)}
    ]
    assert count(trained, "scores") == 0
    assert count(trained, "scores", "ant008") == 1


def test_who_withdrew_nothing_gets_no_certificate(trained: SmallFederation) -> None:
    with pytest.raises(ConsentError, match="withdrawn nothing") as caught:
        certified(trained)
    assert ADA not in str(caught.value)


def test_a_certificate_that_was_changed_is_none(trained: SmallFederation) -> None:
    trained.withdraw(ADA, "train")
    found = certified(trained)
    again = Certificate.from_json(found.to_json(), source="a file")
    assert again.person == found.person
    assert again.public_key == Members(trained.settings).identity("ant").public_key
    document = json.loads(found.to_json())
    forgeries: list[dict[str, Any]] = [
        {"open": []},
        {"person": "0" * 32},
        {"signature": document["public_key"]},
        {"site": "bee"},
    ]
    for changes in forgeries:
        with pytest.raises(AuditError, match="no certificate, or it was changed"):
            Certificate.from_json(json.dumps(document | changes), source="a file")
    for text in ("", "{}", "[]", "null"):
        with pytest.raises(AuditError):
            Certificate.from_json(text, source="a file")


def test_the_erased_are_gone_and_do_not_come_back(trained: SmallFederation) -> None:
    score(trained)
    done = erase(trained)
    assert (done.scores, done.to_remove) == (1, ())
    assert count(trained, "scores") == 0
    score(trained)
    assert count(trained, "scores") == 0
    assert count(trained, "scores", "ant008") == 1
    settings = trained.settings
    sites = [site_of(one) for one in settings.sites]
    claims = Claims(sites, "repurchase", LATER)
    cohort = assemble(settings, settings.models[0], None, sites, claims, LATER)
    ant = next(one for one in cohort.participants if one.site.name == "ant")
    assert ADA not in ant.rows.table["customer_id"].to_pylist()
    assert ant.rows.table.num_rows == 294
    assert ADA not in everything_written(trained)


def test_a_destination_that_holds_an_erased_person_is_told_first(
    trained: SmallFederation,
) -> None:
    score(trained)
    deliver(trained)
    sql = "select min(customer_id) from fed_audience.audience_members"
    member = str(trained.value("ant", sql))
    done = erase(trained, member)
    assert (done.memberships, len(done.to_remove)) == (1, 1)
    assert (done.to_remove[0].audience, done.to_remove[0].destination) == ("top", "files")
    assert deliver(trained) == 1
    with trained.site("ant").open() as warehouse:
        assert deliveries_of(warehouse, "ant", member, SECRET) == ()
    assert trained.value("ant", "select count(*) from fed_audience.erasure_pending") == 0
    assert erase(trained, member).to_remove == ()
    certificate = certified(trained, member)
    assert certificate.document["erased_at"] == LATER.strftime(TIME_FORMAT)
    assert certificate.document["destinations"] == []
    assert member not in certificate.to_json()


def test_a_typing_error_erases_nobody(trained: SmallFederation) -> None:
    with pytest.raises(DataError, match="no such customer") as caught:
        erase(trained, "ada@example.org")
    assert "ada@" not in str(caught.value)
    assert erase(trained, "ada@example.org", even_if_absent=True).scores == 0


def test_without_the_key_that_recognises_the_erased_nobody_is_used(
    trained: SmallFederation, monkeypatch: pytest.MonkeyPatch
) -> None:
    erase(trained)
    monkeypatch.setenv("FED_AUDIENCE_STATE_KEY", "another key that nobody knows")
    with pytest.raises(ConfigError, match="the state key that recognises them is not at hand"):
        score(trained)
    monkeypatch.delenv("FED_AUDIENCE_STATE_KEY")
    with pytest.raises(ConfigError, match="no state key"):
        score(trained)


def test_retraining_is_due_from_the_first_withdrawal_on(trained: SmallFederation) -> None:
    assert due(trained) == ()
    trained.withdraw(ADA, "train")
    trained.withdraw("ant299", "train")  # was never trained on
    (one,) = due(trained)
    assert (one.site, one.model, one.people) == ("ant", "repurchase", 1)
    assert one.retrain_by == NOW + timedelta(days=30)
    assert not one.overdue(LATER)
    assert due(trained, days=30)[0].overdue(LATER + timedelta(days=30))
    assert "1 of those it was trained on withdrew" in one.sentence(LATER)
    erase(trained, "ant009")
    assert due(trained)[0].people == 2


def test_the_status_of_a_federation_says_until_when_a_model_is_retrained(
    trained: SmallFederation, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = FederationStatus(
        federation="small",
        at=NOW,
        contract_sha256=None,
        trouble="",
        sites=(),
        waits={},
        run=None,
        trees=(0, 0),
        runs=(),
    )
    settings = trained.settings
    assert with_retraining(bare, settings, LATER) == bare
    trained.withdraw(ADA, "train")
    found = with_retraining(bare, settings, LATER)
    (one,) = found.retraining
    assert (one.site, one.people, one.retrain_by) == ("ant", 1, NOW + timedelta(days=30))
    assert "retraining is due by 2026-07-01" in status_lines(found)[-1]
    late = with_retraining(bare, settings, LATER + timedelta(days=30))
    assert "retraining is OVERDUE since 2026-07-01" in status_lines(late)[-1]
    monkeypatch.delenv("FED_AUDIENCE_STATE_KEY")
    told = status_lines(with_retraining(bare, settings, LATER))[-1]
    assert "unknown without FED_AUDIENCE_STATE_KEY" in told
    (trained.folder / "ant" / "brand.duckdb").unlink()
    monkeypatch.setenv("FED_AUDIENCE_STATE_KEY", "a state key that nobody else knows")
    lost = with_retraining(bare, settings, LATER)
    assert "warehouse file does not exist" in lost.retraining_unknown


def test_an_overdue_model_scores_nobody_where_one_wants_that(trained: SmallFederation) -> None:
    for number in range(60):  # enough for another model to come out
        trained.withdraw(f"ant{number:03}", "train")
    trained.edit("minimum_rows: 50", "minimum_rows: 50\nwithdrawal: {retrain_within_days: 0}")
    score(trained)
    trained.edit("retrain_within_days: 0", "retrain_within_days: 0, overdue: refuse")
    with pytest.raises(ConsentError, match=r"nobody is scored: repurchase at ant .* OVERDUE"):
        score(trained)
    settings = trained.settings
    made = train_model(settings, settings.models[0], as_of=LATER, category_key=KEY)
    assert made.why == ("rows, features or consent at ant",)
    assert due(trained) == ()
    score(trained)
    models = certified(trained).document["training"]["models"]
    assert [(one["active"], one["trained_on_the_person"]) for one in models] == [
        (False, True),
        (True, False),
    ]


def test_the_same_on_postgres(small_postgres_federation: SmallFederation) -> None:
    settings = small_postgres_federation.settings
    train_model(settings, settings.models[0], as_of=NOW, category_key=KEY)
    score(small_postgres_federation)
    deliver(small_postgres_federation)
    sql = "select min(customer_id) from fed_audience.audience_members"
    member = str(small_postgres_federation.value("ant", sql))
    assert len(erase(small_postgres_federation, member).to_remove) == 1
    assert deliver(small_postgres_federation) == 1
    document = certified(small_postgres_federation, member).document
    (model,) = document["training"]["models"]
    assert model["trained_on_the_person"] is True
    assert document["destinations"] == []
    assert due(small_postgres_federation)[0].people == 1

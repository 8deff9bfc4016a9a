"""A coordinator and three agents: from queued requests to a model at each brand."""

from __future__ import annotations

import json
import logging
import re
import time
from datetime import timedelta

import pytest

from fed_audience.errors import RunInterrupted, UsageError
from fed_audience.federation.messages import members as mm
from fed_audience.jobs import run_training
from fed_audience.jobs.contracts import Contracts
from fed_audience.jobs.coordinator_program import CoordinatorProgram
from fed_audience.jobs.members import Members
from fed_audience.jobs.run_book import RunRecord, Wish
from fed_audience.warehouse.control import LEASE
from tests.jobs.three_organisations import SITES, Organisations

QUEUED = dict.fromkeys(SITES, "pending")


def status(record: RunRecord | None) -> str:
    assert record is not None
    assert record.outcome is not None
    return record.outcome.status


def test_the_quorum_trains_and_every_brand_registers_and_scores(signed: Organisations) -> None:
    signed.edit("ant", "score: false", "score: true")
    record = signed.coordinator().step()
    assert status(record) == "succeeded"
    assert record is not None
    assert (record.stage, sorted(record.settled)) == ("settled", list(SITES))
    assert len(set(signed.models().values())) == 1
    assert signed.requests() == dict.fromkeys(SITES, "succeeded")
    run = "select {} from fed_audience.training_runs"
    for site in SITES:
        others = [other for other in SITES if other != site]
        assert json.loads(str(signed.value(site, run.format("partners")))) == others
        assert signed.value(site, run.format("rows_used")) == 295
        assert signed.value(site, run.format("rows_withdrawn")) == 5
        assert signed.value(site, run.format("bytes_up")) == record.bytes_up[site]
        scores = signed.value(site, "select count(*) from fed_audience.scores")
        assert scores == (300 if site == "ant" else 0)
        assert signed.value(site, "select count(*) from fed_audience.model_registry") == 1
        roster = Members(signed.settings(site)).roster()
        assert roster is not None
        roster.check()
    assert signed.coordinator().step() is None


def test_nothing_starts_before_every_site_signed(organisations: Organisations) -> None:
    program = organisations.coordinator()
    assert program.step() is None
    for site in SITES[:2]:
        Contracts(organisations.settings(site)).sign(site)
    assert program.step() is None
    waits = program.view.decisions["repurchase"].waits
    assert waits == {"cat": "has not signed the contract"}
    assert organisations.requests() == QUEUED
    Contracts(organisations.settings("cat")).sign("cat")
    # The last signature comes with this greeting; the others hear of it with the next.
    assert program.step() is None
    assert program.book.runs() == []
    assert status(program.step()) == "succeeded"


def test_a_changed_contract_waits_for_new_signatures(signed: Organisations) -> None:
    signed.edit("operator", "horizon_days: 90", "horizon_days: 60")
    program = signed.coordinator()
    assert program.step() is None
    waits = program.view.decisions["repurchase"].waits
    assert waits == dict.fromkeys(SITES, "has signed another contract")
    signed.sign_all()
    assert status(signed.coordinator().step()) == "succeeded"


@pytest.mark.parametrize(
    ("site", "sql", "words"),
    [
        ("bee", "delete from fed_audience.training_requests", "has no training queued"),
        (
            "cat",
            "alter table fed_training_repurchase alter f_visits type varchar",
            "is refused: cat: type of feature f_visits is not what the contract says; value: cate",
        ),
        (
            "ant",
            "update fed_training_repurchase set f_channel = 'sms' where customer_id = 'ant001'",
            "is refused: ant: vocabulary of feature f_channel .* 1 rows with another value",
        ),
        (
            "ant",
            """update fed_audience.training_requests
               set spec = replace(spec, '"task"', '"label": "bought", "task"')""",
            "is refused: ant: label is not what the contract says; value: bought",
        ),
        (
            "cat",
            """update fed_audience.training_requests set spec = replace(spec,
               '"task": "propensity"',
               '"task": "lookalike", "mode": "seed_brand", "seed_brand": "ant"')""",
            "a lookalike from one brand's seeds is trained in one process only; value: mode: seed",
        ),
    ],
)
def test_a_brand_that_does_not_match_keeps_the_run_from_starting(
    organisations: Organisations,
    caplog: pytest.LogCaptureFixture,
    site: str,
    sql: str,
    words: str,
) -> None:
    caplog.set_level(logging.INFO)
    organisations.execute(site, sql)
    organisations.sign_all()
    program = organisations.coordinator()
    caplog.clear()
    assert program.step() is None
    assert program.step() is None
    (told,) = [one for one in caplog.messages if one.startswith("waiting for")]
    assert re.search(f"waiting for repurchase: {site} .*{words}", told)
    waits = program.view.decisions["repurchase"].waits
    assert list(waits) == [site]
    assert re.search(words, waits[site])
    assert program.book.runs() == []


def test_a_unit_that_the_dbt_project_declares_otherwise_is_a_mismatch(
    organisations: Organisations,
) -> None:
    node = {
        "resource_type": "model",
        "name": "fed_training_repurchase",
        "columns": {"f_spend": {"config": {"meta": {"fed_audience": {"currency": "USD"}}}}},
    }
    target = organisations.folder / "bee" / "project" / "target"
    target.mkdir()
    (target / "manifest.json").write_text(json.dumps({"nodes": {"model.x": node}}))
    organisations.sign_all()
    program = organisations.coordinator()
    assert program.step() is None
    waits = program.view.decisions["repurchase"].waits
    assert "bee: currency of feature f_spend" in waits["bee"]
    assert "value: USD; allowed: EUR" in waits["bee"]


def test_a_lookalike_by_one_rule_trains_and_too_few_seeds_are_declined(
    organisations: Organisations,
) -> None:
    organisations.edit("operator", "    terms:\n", "    terms:\n      task: lookalike\n")
    for site in SITES:
        organisations.edit(site, "name: three\n", "name: three\nminimum_seeds: 50\n")
        organisations.execute(
            site,
            """update fed_audience.training_requests set spec = replace(spec,
               '"task": "propensity"', '"task": "lookalike", "mode": "seed_rule"')""",
        )
    organisations.execute("bee", "update fed_training_repurchase set label = 0 where f_spend < 100")
    organisations.sign_all()
    program = organisations.coordinator()
    assert program.step() is None
    (declined,) = program.book.runs()
    assert declined.outcome is not None
    assert "bee: too few seeds" in declined.outcome.why
    organisations.edit("bee", "minimum_seeds: 50", "minimum_seeds: 5")
    organisations.now += timedelta(minutes=2)
    record = organisations.coordinator().step()
    assert status(record) == "succeeded"
    assert record is not None
    assert '"task":"lookalike"' in record.manifest


def test_a_brand_that_declines_lets_all_requests_go_back(signed: Organisations) -> None:
    signed.execute("cat", "update fed_training_repurchase set _fed_build_id = 'other'")
    program = signed.coordinator()
    program.step()
    (record,) = program.book.runs()
    assert status(record) == "cancelled"
    assert record.outcome is not None
    assert "cat: training table of 'repurchase' is not the one" in record.outcome.why
    assert signed.requests() == {"ant": "pending", "bee": "pending", "cat": "stale"}
    signed.now += timedelta(minutes=2)
    program.step()
    assert program.view.decisions["repurchase"].waits == {"cat": "has no training queued"}


def test_a_site_that_was_away_hears_the_outcome_when_it_is_back(signed: Organisations) -> None:
    program = signed.coordinator()
    answer = signed.desks["cat"].answer

    def deaf(kind: str, body: bytes) -> bytes:
        if kind == mm.Outcome.kind:
            signed.link.cut("cat")
            return b""
        return answer(kind, body)

    signed.desks["cat"].answer = deaf  # type: ignore[method-assign]
    record = program.step()
    assert record is not None
    assert (record.stage, record.settled) == ("ended", ("ant", "bee"))
    signed.stop("cat")
    signed.start("cat")
    assert signed.models()["cat"] is None
    signed.coordinator().step()
    assert len(set(signed.models().values())) == 1
    assert [one.stage for one in program.book.runs()] == ["settled"]


def test_an_outcome_told_twice_is_written_once(signed: Organisations) -> None:
    record = signed.coordinator().step()
    assert record is not None
    assert record.outcome is not None
    again = signed.desks["ant"].answer(mm.Outcome.kind, record.outcome.encode())
    assert mm.decode(mm.Registered, again).model_sha256 == signed.models()["ant"]
    assert signed.value("ant", "select count(*) from fed_audience.training_runs") == 1


def test_a_proposal_that_was_not_signed_is_declined(signed: Organisations) -> None:
    program = signed.coordinator()
    program.step()
    (record,) = program.book.runs()
    for old, new in (('"seed":0', '"seed":1'), ('"label":"label"', '"label":"bought"')):
        assert old in record.manifest
        asked = mm.Proposal(manifest=record.manifest.replace(old, new))
        answer = mm.decode(
            mm.Acceptance, signed.desks["ant"].answer(mm.Proposal.kind, asked.encode())
        )
        assert not answer.accepted
        assert "differs from the signed contract in" in answer.reason


def test_the_schedule_is_enough_for_the_least_number_of_sites(signed: Organisations) -> None:
    signed.edit("operator", "    terms:\n", "    terms:\n      every_days: 7\n")
    signed.edit(
        "operator",
        "  minimum_sites: 3",
        "  minimum_sites: 2\n  privacy: {overrides: [two_sites, small_change]}",
    )
    signed.sign_all()
    assert status(signed.coordinator().step()) == "succeeded"
    for site in ("ant", "bee"):
        signed.execute(site, "update fed_audience.training_requests set status = 'pending'")
    assert signed.coordinator().step() is None
    signed.now += timedelta(days=8)
    record = signed.coordinator().step()
    assert status(record) == "succeeded"
    assert record is not None
    assert record.sites == ("ant", "bee")


def test_a_claim_is_renewed_under_the_agents_name(signed: Organisations) -> None:
    program = signed.coordinator()
    outcomes = program._outcomes
    tell = outcomes.deliver
    outcomes.deliver = lambda record: record  # type: ignore[method-assign]
    program.step()
    sql = "select claimed_by from fed_audience.training_requests"
    assert signed.value("ant", sql) == "fed-audience agent of ant"
    signed.now += LEASE * 2
    signed.stop("ant")
    signed.start("ant")
    assert signed.requests()["ant"] == "claimed"
    (record,) = program.book.open_runs()
    assert tell(record).stage == "settled"


def interrupted(organisations: Organisations, trees: int) -> CoordinatorProgram:
    """Begin a run and let it rest when ``trees`` trees are finished."""
    program = organisations.coordinator()

    def watch() -> None:
        if program.view.trees[0] >= trees:
            program.pause()

    program._on_change = watch
    with pytest.raises(RunInterrupted):
        program.step()
    return program


def test_everybody_started_anew_ends_in_the_same_bytes(
    signed: Organisations, undisturbed_model: str
) -> None:
    interrupted(signed, 2)
    assert signed.requests() == dict.fromkeys(SITES, "claimed")
    for site in SITES:
        signed.stop(site)
    again = signed.coordinator()
    assert again.step() is None
    assert again.view.resting is not None
    signed.now += timedelta(minutes=30)
    for site in SITES:
        signed.start(site)
    assert status(signed.coordinator().step()) == "succeeded"
    assert signed.models() == dict.fromkeys(SITES, undisturbed_model)


def test_a_withdrawal_while_a_run_rests_cancels_it_and_the_next_is_without(
    signed: Organisations,
) -> None:
    interrupted(signed, 2)
    signed.stop("bee")
    withdraw(signed, "bee", before="bee005")
    signed.now += timedelta(hours=2)
    signed.start("bee")
    again = signed.coordinator()
    again.step()
    (first,) = again.book.runs()
    assert (status(first), first.stage) == ("cancelled", "settled")
    assert signed.requests() == QUEUED
    signed.now += timedelta(minutes=2)
    assert status(again.step()) == "succeeded"
    assert signed.value("bee", "select rows_used from fed_audience.training_runs") == 290


def test_a_site_that_stays_away_costs_the_run_its_later_trees(signed: Organisations) -> None:
    interrupted(signed, 2)
    signed.stop("cat")
    signed.now += timedelta(hours=23)
    again = signed.coordinator()
    assert again.step() is None
    signed.now += timedelta(hours=2)
    again.step()
    (record,) = again.book.runs()
    assert record.stage == "ended"
    assert record.outcome is not None
    assert "cat did not come back in time" in record.outcome.why


@pytest.mark.parametrize("wish", ["pause", "cancel"])
def test_the_operator_pauses_or_cancels_a_run(
    signed: Organisations, wish: Wish, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_training, "WISH_SECONDS", 0.05)
    program = signed.coordinator()

    def watch() -> None:
        if program.view.trees[0] == 1 and program.view.run is not None:
            program.book.wish(program.view.run, wish)
            time.sleep(0.3)

    program._on_change = watch
    program.step()
    (record,) = program.book.runs()
    if wish == "cancel":
        assert (status(record), record.stage) == ("cancelled", "settled")
        assert signed.requests() == dict.fromkeys(SITES, "cancelled")
        return
    assert record.stage == "training"
    assert signed.coordinator().step() is None
    with pytest.raises(UsageError, match="no such run is under way"):
        program.book.wish("another", "cancel")
    program.book.wish(record.run, None)
    assert status(signed.coordinator().step()) == "succeeded"


def withdraw(organisations: Organisations, site: str, *, before: str) -> None:
    """Let customers up to ``before`` take their consent to training back."""
    organisations.execute(
        site,
        "insert into int_consent_ledger select 'late', member_id, subject_id, purpose, 'denied',"
        " jurisdiction, effective_at + interval 3 hour, recorded_at + interval 3 hour, null,"
        " time_trust, is_minor, legal_basis from int_consent_ledger"
        f" where subject_id < '{before}' and purpose = 'train'",
    )


def test_signatures_that_do_not_verify_are_not_kept(organisations: Organisations) -> None:
    organisations.sign_all()
    contracts = Contracts(organisations.operator)
    held = contracts.held()
    assert held is not None
    contracts.keep(held.without_signatures())
    answer = organisations.desks["ant"].answer

    def forged(kind: str, body: bytes) -> bytes:
        if kind != mm.Greeting.kind:
            return answer(kind, body)
        state = mm.decode(mm.State, answer(kind, body))
        return state.model_copy(update={"signature": "00" * 64}).encode()

    organisations.desks["ant"].answer = forged  # type: ignore[method-assign]
    program = organisations.coordinator()
    assert program.step() is None
    kept = contracts.held()
    assert kept is not None
    assert kept.unsigned == ("ant",)
    assert organisations.requests() == QUEUED

"""Agents tell one bit before a run: a model is trained again when anything changed at any site."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from fed_audience.federation.messages import members as mm
from fed_audience.jobs.contracts import Contracts
from fed_audience.jobs.coordinator_program import CoordinatorProgram
from fed_audience.jobs.run_book import RunRecord
from fed_audience.jobs.run_manifest import manifest_of
from fed_audience.jobs.training_content import TrainedOn
from fed_audience.jobs.unchanged import Unchanged, unchanged_since
from tests.jobs.test_kinds_between_organisations import PRIVACY, PUBLIC, change, limit, over_grpc
from tests.jobs.three_organisations import SITES, Organisations

RUNS = "select count(*) from fed_audience.training_runs"
DETAIL = "select detail from fed_audience.training_requests"


def queue_again(organisations: Organisations) -> None:
    """Let dbt build the same rows a day later at every brand, and queue them."""
    organisations.now += timedelta(days=1)
    for site in SITES:
        organisations.execute(site, "update fed_training_repurchase set _fed_build_id = 'build2'")
        organisations.execute(
            site,
            "update fed_audience.training_requests set status = 'pending', build_id = 'build2',"
            " claimed_by = null, claimed_at = null, finished_at = null",
        )


def ended(record: RunRecord | None) -> tuple[str, str]:
    assert record is not None
    assert record.outcome is not None
    return record.stage, record.outcome.status


@pytest.fixture(scope="session")
def trained_organisations_template(
    organisations_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("trained_organisations") / "organisations"
    shutil.copytree(organisations_template, folder)
    organisations = started(folder)
    terms = "    terms:\n"
    organisations.edit("operator", terms, f"{terms}      bounds: {{n_estimators: [2, 9]}}\n")
    organisations.sign_all()
    assert ended(organisations.coordinator().step()) == ("settled", "succeeded")
    for desk in organisations.desks.values():
        desk.close()
    return folder


def started(folder: Path) -> Organisations:
    organisations = Organisations(folder)
    for site in SITES:
        organisations.start(site)
    return organisations


@pytest.fixture
def again(trained_organisations_template: Path, tmp_path: Path) -> Iterator[Organisations]:
    """Three brands with a model, whose training is queued again over the same rows."""
    folder = tmp_path / "organisations"
    shutil.copytree(trained_organisations_template, folder)
    organisations = started(folder)
    queue_again(organisations)
    yield organisations
    for desk in organisations.desks.values():
        desk.close()


def first_run(program: CoordinatorProgram) -> str:
    return program.book.runs()[0].run


def test_the_model_is_kept_and_scores_anew_and_no_round_is_asked_for_over_real_sockets(
    again: Organisations,
) -> None:
    before = again.models()
    again.edit("ant", "score: false", "score: true")
    with over_grpc(again) as program:
        record = program.step()
        assert program.step() is None
    assert ended(record) == ("settled", "unchanged")
    assert record is not None
    assert not (program.book.folder_of(record.run) / "journal").exists()
    assert not program.audits.path(record.run).exists()
    assert again.models() == before
    assert again.requests() == dict.fromkeys(SITES, "unchanged")
    for site in SITES:
        assert again.value(site, RUNS) == 1
        assert str(again.value(site, DETAIL)).startswith(
            f"repurchase unchanged, not retrained: all that it is made of is as in run "
            f"{first_run(program)} of 2026-06-01"
        )
        assert not again.desks[site].holds_run
        assert again.desks[site].sealed
        scores = again.value(site, "select count(*) from fed_audience.scores")
        assert scores == (300 if site == "ant" else 0)


def asked(organisations: Organisations, site: str, *, trees: int = 3) -> mm.Acceptance:
    """Propose the first run once more, of so many trees, to one site; nothing is trained."""
    (record,) = organisations.coordinator().book.runs()
    manifest = record.manifest.replace(record.run, "again")
    assert '"n_estimators":3' in manifest
    manifest = manifest.replace('"n_estimators":3', f'"n_estimators":{trees}')
    proposal = mm.Proposal(manifest=manifest, earlier=record.run)
    answer = organisations.desks[site].answer(mm.Proposal.kind, proposal.encode())
    return mm.decode(mm.Acceptance, answer)


UNCHANGED = mm.Acceptance(accepted=True, unchanged=True)
CHANGED = mm.Acceptance(accepted=True, unchanged=False)
LESS = "update fed_training_repurchase set f_spend = f_spend + 1 where customer_id = 'bee007'"


def test_parameters_and_trees_of_ones_own_are_a_change(again: Organisations) -> None:
    again.edit("cat", "score: false", "score: false, continuation: true")
    assert asked(again, "ant", trees=5) == CHANGED
    assert asked(again, "bee") == asked(again, "bee") == UNCHANGED
    assert asked(again, "cat") == CHANGED


def test_consent_spec_and_the_key_of_the_categories_are_a_change(
    again: Organisations, monkeypatch: pytest.MonkeyPatch
) -> None:
    again.execute(
        "ant", "update int_consent_ledger set status = 'withdrawn' where subject_id = 'ant007'"
    )
    again.execute(
        "bee",
        """update fed_audience.training_requests
           set spec = replace(spec, '"task"', '"exclude_features": ["f_other"], "task"')""",
    )
    monkeypatch.setattr("tests.jobs.three_organisations.KEY", b"another key of the categories")
    again.stop("cat")
    again.start("cat")
    assert [asked(again, site) for site in SITES] == [CHANGED] * 3


def test_only_the_active_model_of_that_run_is_kept(again: Organisations) -> None:
    (record,) = again.coordinator().book.runs()
    site, run = again.site("bee"), record.run
    registry = "update fed_audience.model_registry set "
    told = again.value("bee", "select trained_on from fed_audience.model_registry")
    brought = TrainedOn.from_json(str(told))
    assert brought is not None
    assert unchanged_since(run, "repurchase", site, brought) is not None
    assert unchanged_since("another", "repurchase", site, brought) is None
    assert unchanged_since(run, "another", site, brought) is None
    again.execute("bee", f"{registry} is_active = false")
    assert unchanged_since(run, "repurchase", site, brought) is None
    again.execute("bee", f"{registry} is_active = true, trained_on = null")
    assert unchanged_since(run, "repurchase", site, brought) is None


def test_one_site_where_something_changed_is_enough_to_train(again: Organisations) -> None:
    again.execute("bee", LESS)
    assert ended(again.coordinator().step()) == ("settled", "succeeded")
    assert [again.value(site, RUNS) for site in SITES] == [2, 2, 2]


def test_a_model_that_a_missing_site_cut_short_is_none_to_keep(again: Organisations) -> None:
    book = again.coordinator().book
    (record,) = book.runs()
    assert book.last_whole("repurchase") == record
    book.write(record.changed(stopped="site_missing"))
    assert book.last_whole("repurchase") is None


def test_a_site_that_did_not_say_so_keeps_its_request(again: Organisations) -> None:
    again.execute("bee", LESS)
    answer = again.desks["bee"].answer

    def forged(kind: str, body: bytes) -> bytes:
        told = answer(kind, body)
        if kind != mm.Proposal.kind:
            return told
        acceptance = mm.decode(mm.Acceptance, told)
        assert (acceptance.accepted, acceptance.unchanged) == (True, False)
        return acceptance.model_copy(update={"unchanged": True}).encode()

    again.desks["bee"].answer = forged  # type: ignore[method-assign]
    assert ended(again.coordinator().step()) == ("settled", "unchanged")
    assert again.requests() == {"ant": "unchanged", "bee": "pending", "cat": "unchanged"}


def test_an_agent_that_ends_in_between_still_knows_what_it_said(again: Organisations) -> None:
    program = again.coordinator()
    answer = again.desks["cat"].answer

    def deaf(kind: str, body: bytes) -> bytes:
        if kind == mm.Outcome.kind:
            again.link.cut("cat")
            return b""
        return answer(kind, body)

    again.desks["cat"].answer = deaf  # type: ignore[method-assign]
    assert ended(program.step()) == ("ended", "unchanged")
    again.stop("cat")
    again.start("cat")
    assert again.requests()["cat"] == "claimed"
    again.coordinator().step()
    assert again.requests()["cat"] == "unchanged"
    assert program.book.runs()[-1].stage == "settled"


def test_of_a_run_with_noise_the_bit_is_never_told(
    organisations: Organisations, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether rows changed is no noisy number."""
    change(
        organisations,
        "operator",
        model={"privacy": PRIVACY},
        contract={"privacy": PRIVACY},
        public_values=PUBLIC,
    )
    limit(organisations.settings("ant").budget_book, ("ant",))
    organisations.sign_all()
    operator = organisations.operator
    program, signed = organisations.coordinator(), Contracts(operator).publish()
    program._greetings.send(signed)
    contract = signed.contract
    manifest = manifest_of(contract, contract.models[0], SITES, operator, organisations.now)
    kept = Unchanged("repurchase", "before", "v1", organisations.now)
    monkeypatch.setattr("fed_audience.jobs.agent_desk.unchanged_since", lambda *_: kept)
    proposal = mm.Proposal(manifest=manifest.to_json(), earlier="before").encode()
    answer = organisations.desks["ant"].answer(mm.Proposal.kind, proposal)
    assert mm.decode(mm.Acceptance, answer) == CHANGED

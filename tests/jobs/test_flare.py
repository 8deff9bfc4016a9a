"""Coordinator and agents within FLARE jobs: from queued requests to a model at each brand."""

from __future__ import annotations

import shutil
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

pytest.importorskip("nvflare", reason="the extra flare is not installed")

from nvflare.apis.signal import Signal

from fed_audience.errors import ConfigError
from fed_audience.federation.transports.flare.envelope import ROUND
from fed_audience.jobs.contracts import Contracts
from fed_audience.jobs.federation_status import FederationStatus, read_status
from fed_audience.jobs.flare_agent import AgentExecutor
from fed_audience.jobs.flare_coordinator import CoordinatorController
from fed_audience.jobs.flare_settings import flare_settings
from fed_audience.jobs.service import only_one
from fed_audience.jobs.settings import load_federation
from tests.federation.flare.network import Job
from tests.jobs.small_federation import NOW, SECRETS
from tests.jobs.three_organisations import SITES, Organisations


@dataclass
class Participants:
    """FLARE's folders of a server and three clients, beside those of operator and brands."""

    organisations: Organisations

    def local(self, who: str) -> Path:
        return self.organisations.folder / "flare" / who / "local"

    def settle_in(self) -> None:
        for who in ("operator", *SITES):
            self.local(who).mkdir(parents=True)
            own = {"federation": f"../../../{who}/federation.yml"}
            if who != "operator":
                own["as_of"] = f"{NOW:%Y-%m-%dT%H:%M}"
                self.organisations.edit(who, "'localhost:1'", "null")
            (self.local(who) / "fed_audience.yml").write_text(yaml.safe_dump(own))
        self.organisations.edit("operator", "metrics: null", "metrics: null, poll_seconds: 0.05")

    def job(self) -> Job:
        """Begin a job at every client."""
        job = Job(self.local("operator"))
        for number, site in enumerate(SITES):
            job.attach(f"client-{number}", AgentExecutor(), self.local(site))
            job.begin(f"client-{number}")
        return job

    def status(self) -> FederationStatus:
        path = self.organisations.folder / "operator" / "coordinator" / "status.json"
        return read_status(path.read_bytes())

    def sign_all_when_shown(self) -> None:
        """Let every brand sign as soon as the job has brought the contract."""
        deadline = time.monotonic() + 60
        for site in SITES:
            # What is signed with the contract, the roster, is the last that a greeting brings.
            while not (self.organisations.folder / site / "roster.json").exists():
                assert time.monotonic() < deadline
                time.sleep(0.02)
            Contracts(self.organisations.settings(site)).sign(site)


@pytest.fixture
def participants(
    organisations_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Participants:
    """Everything is at its place, and no job has begun."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    organisations = Organisations(tmp_path / "organisations")
    shutil.copytree(organisations_template, organisations.folder)
    found = Participants(organisations)
    found.settle_in()
    return found


def test_a_job_shows_the_contract_trains_and_the_next_one_ends_what_was_aborted(
    participants: Participants, tmp_path: Path
) -> None:
    undisturbed = Organisations(tmp_path / "undisturbed")
    shutil.copytree(participants.organisations.folder, undisturbed.folder)
    first, abort, rounds = participants.job(), Signal(), [0]

    def count(kind: str) -> None:
        rounds[0] += kind == ROUND
        if rounds[0] > 36:
            abort.trigger("the administrator")

    first.before = count
    signing = threading.Thread(target=participants.sign_all_when_shown)
    signing.start()
    first.flow(CoordinatorController(wait_seconds=120), abort)
    signing.join()
    assert first.panics == []
    (run,) = participants.status().runs
    assert (run.stage, run.status) == ("training", None)
    assert set(participants.organisations.requests().values()) == {"claimed"}

    second = participants.job()
    second.flow(CoordinatorController(wait_seconds=120))
    assert second.panics == []
    (done,) = participants.status().runs
    assert (done.run, done.stage, done.status) == (run.run, "settled", "succeeded")
    models = participants.organisations.models()
    assert set(models.values()) == {done.model_sha256}
    assert set(participants.organisations.requests().values()) == {"succeeded"}

    for site in SITES:
        undisturbed.start(site)
    undisturbed.sign_all()
    undisturbed.coordinator().step()
    assert undisturbed.models() == models, "the same bytes as without FLARE"
    for site in SITES:
        undisturbed.stop(site)


def test_a_job_in_which_nothing_is_trained_says_what_it_waited_for(
    participants: Participants,
) -> None:
    job = participants.job()
    job.flow(CoordinatorController(wait_seconds=0.3))
    (words,) = job.panics
    assert words.startswith("no run was finished in time: not signed by ant, bee, cat; value: ")
    assert "waited 0.3 s; ant, bee, cat took part" in words
    assert participants.status().sites[0].connected


def test_a_site_in_use_takes_part_when_it_is_free(
    participants: Participants, caplog: pytest.LogCaptureFixture
) -> None:
    folder = participants.organisations.folder / "bee" / "agent"
    job = participants.job()
    with only_one(folder, "agent"):
        job.flow(CoordinatorController(wait_seconds=0.2))
    assert "client-1 does not take part: another agent runs on this folder" in caplog.text
    assert "ant, cat took part" in job.panics[0]
    again = participants.job()
    again.flow(CoordinatorController(wait_seconds=0.3))
    assert "ant, bee, cat took part" in again.panics[0]
    operator = load_federation(participants.organisations.folder / "operator" / "federation.yml")
    assert operator.coordinator is not None
    with only_one(operator.coordinator.folder, "coordinator"):
        third = participants.job()
        third.flow(CoordinatorController())
    assert "another coordinator runs on this folder" in third.panics[0]


def test_settings_that_are_missing_or_of_somebody_else_are_named(
    participants: Participants, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ConfigError, match=r"fed_audience\.yml"):
        flare_settings(tmp_path)
    own = participants.local("ant") / "fed_audience.yml"
    own.write_text("federations: x.yml")
    with pytest.raises(ConfigError, match="did you mean 'federation'"):
        flare_settings(own.parent)
    own.write_text("federation: ../../../operator/federation.yml")
    operators = participants.local("operator") / "fed_audience.yml"
    operators.write_text("federation: ../../../ant/federation.yml")
    job = participants.job()
    with job.link() as link:
        assert link.sites() == []
    assert "client-0 does not take part: this federation.yml is not an agent's" in caplog.text
    job.flow(CoordinatorController())
    assert "this federation.yml is not a coordinator's" in job.panics[0]


def test_a_site_without_an_address_serves_flare_alone(participants: Participants) -> None:
    agent = participants.organisations.settings("ant").agent
    assert agent is not None
    with pytest.raises(ConfigError, match="NVIDIA FLARE carries its rounds"):
        _ = agent.address

"""Waiting for an agent: whom a training waits for, how far it is, how it ended."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fed_audience.cli.app import app
from fed_audience.errors import DataError, FedAudienceError, FederationError, StillWaiting
from fed_audience.federation.transports.grpc import GrpcTransport
from fed_audience.jobs.agent_watch import AgentWatch, Progress
from fed_audience.jobs.federation_status import STATUS_KIND, status_of
from fed_audience.jobs.status_asking import waited_for
from fed_audience.warehouse.control import claim_request, finish_request
from fed_audience.warehouse.request_progress import requests_of
from tests.jobs.small_federation import NOW, SECRETS
from tests.jobs.test_kinds_between_organisations import over_grpc
from tests.jobs.three_organisations import SITES, Organisations

UNQUEUED = "update fed_audience.training_requests set status = 'queued later'"
QUEUED = "update fed_audience.training_requests set status = 'pending'"


class Told(list[Progress]):
    """What was told, in order."""

    def __call__(self, progress: Progress) -> None:
        self.append(progress)


def watch(
    organisations: Organisations,
    told: Told,
    sleep: Callable[[float], None],
    *,
    waits_for: Callable[[], str] = lambda: "for bee",
    timeout: float | None = None,
) -> AgentWatch:
    return AgentWatch(
        organisations.site("ant"),
        "repurchase",
        waits_for=waits_for,
        on_change=told,
        timeout=timeout,
        sleep=sleep,
    )


def test_the_brand_that_is_waited_for_is_named_by_the_coordinator_then_the_model_is_there(
    organisations: Organisations,
) -> None:
    organisations.sign_all()
    organisations.execute("bee", UNQUEUED)
    told = Told()
    with over_grpc(organisations) as program:
        link = program._link
        assert isinstance(link, GrpcTransport)
        link.on(
            STATUS_KIND,
            lambda _caller, _body: (
                status_of(
                    "three", None, SITES, link.sites(), program.view, program.book.runs(), NOW
                )
                .model_dump_json()
                .encode()
            ),
        )
        organisations.edit("ant", "'localhost:1'", f"'{link.address}'")
        shutil.copytree(organisations.folder / "network" / "ant", organisations.folder / "ant/tls")
        organisations.edit("ant", "score: false", "score: false, certificates: tls")
        settings = organisations.settings("ant")
        assert settings.agent is not None
        agent = settings.agent
        assert program.step() is None

        def pass_time(seconds: float) -> None:
            assert seconds > 0
            organisations.execute("bee", QUEUED)
            program.step()

        watching = watch(
            organisations,
            told,
            pass_time,
            waits_for=lambda: waited_for(settings, agent, "repurchase"),
        )
        ended = watching.until_trained()
    assert ended.status == "succeeded"
    assert [one.step for one in told] == ["waiting"]
    assert told[0].words == (
        "repurchase waits for bee (has no training queued); no agent runs on "
        f"{organisations.folder / 'ant' / 'agent'}"
    )
    # Afterwards nobody listens there any more.
    assert waited_for(settings, agent, "repurchase").startswith("for the coordinator: ")


def test_trees_are_told_in_the_warehouse_while_they_grow(
    organisations: Organisations, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fed_audience.jobs.agent_run.PROGRESS_SECONDS", 0.1)
    organisations.sign_all()
    program, told = organisations.coordinator(), Told()
    watching = watch(organisations, told, lambda _: None)
    site = organisations.site("ant")

    def detail() -> str:
        with site.open() as warehouse:
            return requests_of(warehouse, "repurchase")[0].detail or ""

    def look() -> None:
        if program.view.trees[0] == 2 and program.view.run is not None:
            deadline = time.monotonic() + 60
            while "tree 2 of at most 3" not in detail():
                assert time.monotonic() < deadline, detail()
                time.sleep(0.05)
            with site.open() as warehouse:
                (state,) = requests_of(warehouse, "repurchase")
            watching._tell(watching._progress(state))

    program._on_change = look
    record = program.step()
    assert record is not None
    assert told == [
        Progress("training", f"train repurchase: run {record.run}: tree 2 of at most 3")
    ]
    assert detail() == ""
    assert watching.until_trained().status == "succeeded"


def test_a_given_up_claim_tells_no_progress(organisations: Organisations) -> None:
    organisations.sign_all()
    organisations.execute("cat", "update fed_training_repurchase set _fed_build_id = 'other'")
    organisations.coordinator().step()
    with organisations.site("ant").open() as warehouse:
        (state,) = requests_of(warehouse, "repurchase")
    assert (state.status, state.detail) == ("pending", None)


def test_whoever_waits_too_long_is_told_for_whom(organisations: Organisations) -> None:
    with pytest.raises(StillWaiting, match="repurchase waits for bee") as late:
        watch(organisations, Told(), lambda _: None, timeout=0.0).until_trained()
    assert late.value.exit_code == 17


def test_a_request_of_before_is_not_taken_for_the_next(organisations: Organisations) -> None:
    organisations.execute("ant", UNQUEUED.replace("queued later", "succeeded"))
    watching = watch(organisations, Told(), lambda _: None)
    with pytest.raises(DataError, match=r"is queued at ant; .*succeeded"):
        watching.until_trained()


@pytest.mark.parametrize("status", ["failed", "cancelled", "stale"])
def test_a_training_without_a_model_is_an_error_that_says_why(
    organisations: Organisations, status: str
) -> None:
    told = Told()
    watching = watch(organisations, told, lambda _: None)
    with organisations.site("ant").open() as warehouse:
        request = claim_request(warehouse, claimed_by="agent", now=NOW)
        assert request is not None
        finish_request(
            warehouse,
            request.request_id,
            status=status,  # type: ignore[arg-type]  # one of the literals, by name
            now=NOW,
            detail="the sum was too small",
        )
    with pytest.raises(FederationError, match=f"ended as {status}; value: the sum was too small"):
        watching.until_trained()


AUDIENCES = """
audiences:
  - {name: top, model: repurchase, channel: email, share: 0.2}
"""


@pytest.fixture
def analyst(
    organisations: Organisations, monkeypatch: pytest.MonkeyPatch
) -> tuple[Organisations, Path]:
    """The federation as seen from ant's folder, where an audience is to be cut."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    organisations.edit(
        "operator",
        "  minimum_sites: 3\n",
        "  minimum_sites: 3\n  purposes: [train, share_model, profile, 'activate:email']\n",
    )
    organisations.sign_all()
    config = organisations.folder / "ant" / "federation.yml"
    config.write_text(config.read_text() + AUDIENCES)
    return organisations, config


def command(config: Path, *more: str) -> tuple[int, str]:
    """Run the command as a shell would; return exit code and what it printed."""
    args = ["run", "--config", str(config), "--skip-build", "--dry-run", *more]
    done = CliRunner().invoke(app, [*args, "--as-of", f"{NOW:%Y-%m-%dT%H:%M}"])
    error = done.exception
    code = error.exit_code if isinstance(error, FedAudienceError) else done.exit_code
    return code, f"{done.output} {error}"


@pytest.mark.parametrize("scores", [False, True])
def test_run_waits_for_the_agent_then_scores_and_cuts_the_audience(
    analyst: tuple[Organisations, Path], monkeypatch: pytest.MonkeyPatch, *, scores: bool
) -> None:
    organisations, config = analyst
    if scores:
        organisations.edit("ant", "score: false", "score: true")
    program = organisations.coordinator()
    monkeypatch.setattr(AgentWatch, "_pause", lambda _: program.step())
    code, said = command(config, "-s", "repurchase")
    assert (code, "ant: 60 chosen" in said) == (0, True), said
    assert "repurchase trained and registered at ant" in said
    assert organisations.value("ant", "select count(*) from fed_audience.audience_members") == 60
    assert ("score repurchase" in said) is not scores
    # Nothing is queued again, but the next training will not be spared.
    told = "select count(trained_on) from fed_audience.model_registry"
    assert organisations.value("ant", told) == 1
    assert command(config, "-s", "repurchase", "--retrain")[0] == 4
    assert organisations.value("ant", told) == 0


def test_run_beside_an_agent_needs_a_model_and_ends_in_time(
    analyst: tuple[Organisations, Path],
) -> None:
    _, config = analyst
    assert command(config)[0] == 2
    assert command(config, "-s", "repurchase", "--epsilon", "1")[0] == 2
    code, said = command(config, "-s", "repurchase", "--timeout", "0")
    assert code == 17
    assert "repurchase was not ready in time; value: waited 0 s; allowed: repurchase waits" in said

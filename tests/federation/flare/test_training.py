"""The same training within a FLARE job: the same bytes, also when a second job ends it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("nvflare", reason="the extra flare is not installed")

from nvflare.apis.signal import Signal

from fed_audience.errors import FederationError, RunInterrupted
from fed_audience.federation import (
    RunControl,
    RunJournal,
    SiteProgram,
    TrainingEvent,
    TrainingResult,
    train,
)
from fed_audience.federation.events import TreeGrown
from fed_audience.federation.transports.flare import FlareLink, RoundController
from fed_audience.federation.transports.flare.envelope import ROUND
from fed_audience.privacy.ledger import SiteLedger
from fed_audience.privacy.roster import enrol
from fed_audience.privacy.run_keys import OVERRIDES
from fed_audience.privacy.site import SecureSite
from tests.federation.example import manifest, programs, run, split, table
from tests.federation.flare.network import Job
from tests.federation.grpc.network import Federation
from tests.federation.mortal import Sites

SITES = ("north", "south", "west")
TABLES = split(table(600), np.arange(600) % len(SITES), SITES)
MANIFEST = manifest(SITES, n_estimators=4)


class Rounds:
    """A site program as the end that a client answers with."""

    def __init__(self, program: SiteProgram) -> None:
        self._program = program

    def handle(self, body: bytes) -> bytes:
        return self._program.handle(body)

    def answer(self, kind: str, body: bytes) -> bytes:
        raise FederationError(f"nothing is asked here: {kind}, {len(body)} bytes")


class Training(RoundController):
    """Trains in a job, with a journal; ``on_tree`` is told the number of each finished tree."""

    def __init__(self, roster: dict[str, bytes], journal: Path) -> None:
        super().__init__()
        self.result: TrainingResult | None = None
        self.on_tree: Callable[[int], None] = lambda _: None
        self.control = RunControl()
        self._roster = roster
        self._journal = journal

    def coordinate(self, link: FlareLink, local: Path, stopped: Callable[[], bool]) -> None:
        assert str(local) == "/server/local"
        assert link.welcome(self._roster) == list(SITES)

        def hear(event: TrainingEvent) -> None:
            if isinstance(event, TreeGrown):
                self.on_tree(event.number)
            if stopped():
                self.control.pause()

        journal = RunJournal(self._journal)
        try:
            self.result = train(
                link, MANIFEST, on_event=hear, journal=journal, control=self.control
            )
        finally:
            journal.close()


def job_of(sites: Sites) -> Job:
    job = Job()
    for number, site in enumerate(SITES):
        job.identities[site] = sites._identities[site]
        job.add(f"client-{number}", Rounds(sites.programs[site]), site=site)
    return job


@pytest.fixture(scope="module")
def in_process() -> TrainingResult:
    return run(TABLES, n_estimators=4)


def test_a_job_makes_the_bytes_of_the_training_in_process(
    in_process: TrainingResult, tmp_path: Path
) -> None:
    sites = Sites(TABLES, tmp_path)
    job = job_of(sites)
    controller = Training(job.roster, tmp_path / "journal")
    job.sent.clear()
    job.flow(controller)
    assert controller.result is not None
    assert controller.result.model_text == in_process.model_text
    assert controller.result.protection.secure
    assert controller.result.rounds == in_process.rounds
    introductions = len(SITES)
    assert len(job.sent) == introductions + len(SITES) * in_process.rounds, "one trip a round"
    assert job.panics == []


def test_grpc_carries_the_same_training_to_the_same_bytes(
    in_process: TrainingResult, tmp_path: Path
) -> None:
    federation = Federation(tmp_path)
    found = programs(TABLES)
    for site in SITES:
        federation.enrol(site)
    roster = enrol(federation.identities.values())
    with federation.transport() as transport, ExitStack() as stack:
        for site, program in found.items():
            identity = federation.identities[site]
            program.enrol(SecureSite(identity, roster, SiteLedger(), accepts=OVERRIDES))
            stack.enter_context(federation.link(transport.address, site, program.handle))
        assert transport.wait_for(SITES, 60) == []
        assert train(transport, MANIFEST).model_text == in_process.model_text


def test_a_lost_client_and_an_abort_within_a_tree_leave_it_whole(
    in_process: TrainingResult, tmp_path: Path
) -> None:
    sites, abort = Sites(TABLES, tmp_path), Signal()
    first = job_of(sites)

    def lose(kind: str) -> None:
        # Levels of a tree are asked for here: a client dies, others are told before the server.
        if kind == ROUND and len(first.sent) == len(SITES) * (in_process.rounds // 2):
            first.cut.add("client-1")
            first.end("client-2")
            threading.Timer(0.3, abort.trigger, ["a client is lost"]).start()

    first.before = lose
    controller = Training(first.roster, tmp_path / "journal")
    first.flow(controller, abort)
    assert abort.triggered
    assert controller.result is None
    assert first.panics == []
    for site in SITES:
        sites.start(site)
    second = job_of(sites)
    again = Training(second.roster, tmp_path / "journal")
    second.flow(again)
    assert again.result is not None
    assert again.result.model_text == in_process.model_text


def test_an_aborted_job_rests_and_the_next_one_ends_in_the_same_bytes(
    in_process: TrainingResult, tmp_path: Path
) -> None:
    sites, abort = Sites(TABLES, tmp_path), Signal()
    first = job_of(sites)
    controller = Training(first.roster, tmp_path / "journal")
    controller.on_tree = lambda number: abort.trigger("the administrator") if number == 2 else None
    first.flow(controller, abort)
    assert controller.result is None
    assert first.panics == [], "an abort is not a failure"
    for site in SITES:
        sites.start(site)  # in another process, from its disk
    second = job_of(sites)
    again = Training(second.roster, tmp_path / "journal")
    second.flow(again)
    assert again.result is not None
    assert again.result.model_text == in_process.model_text
    both, rounds = len(first.sent) + len(second.sent), in_process.rounds + 1
    assert both == 2 * len(SITES) + rounds * len(SITES), "what is finished is not asked again"
    assert len(second.sent) < len(first.sent)


def test_what_fails_ends_the_job_in_words_and_what_rests_does_not() -> None:
    class Failing(RoundController):
        error: Exception = FederationError("run 7 rests", fix="submit the job again")

        def coordinate(self, link: FlareLink, local: Path, stopped: Callable[[], bool]) -> None:
            assert (link.sites(), str(local), stopped()) == ([], "/server/local", False)
            raise self.error

    job, controller = Job(), Failing()
    job.flow(controller)
    assert job.panics == ["run 7 rests. To mend it: submit the job again"]
    controller.error = RunInterrupted("the operator paused it")
    job.flow(controller)
    assert len(job.panics) == 1
    controller.error = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        job.flow(controller)  # FLARE names it in its log, and ends the job

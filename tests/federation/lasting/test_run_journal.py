"""A coordinator that is killed anywhere and started anew ends in the same bytes."""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

import fed_audience
from fed_audience.errors import ConfigError, FederationError, ResourceError
from fed_audience.federation import RunJournal, TrainingResult, cancel, forget, resume, train
from fed_audience.federation import events as e
from fed_audience.federation import messages as m
from fed_audience.federation.lasting.control import RunCancelled, RunControl, RunPaused
from fed_audience.federation.transport import Envelope
from fed_audience.gbdt.growing.grower import NodeSplit, TreeGrower
from tests.federation.example import manifest, programs, run, split, table
from tests.federation.faults import Fate
from tests.federation.mortal import Killed, Mortal, Sites, trained

ROWS = table(240, seed=5)
NAMES = ("a", "b", "c")
TABLES = split(ROWS, np.arange(ROWS.num_rows) % 3, NAMES)
CHOSEN: dict[str, Any] = {
    "n_estimators": 2,
    "max_depth": 3,
    "num_leaves": 7,
    "max_bin": 15,
    "early_stopping_round": 3,
}
AGREED = manifest(NAMES, **CHOSEN)
WALL_CLOCK = re.compile(r"\b(time\.time(_ns)?|datetime\.(now|today|utcnow)|date\.today)\(")
DATED = {"certificates.py", "development_authority.py"}


@pytest.fixture(scope="module")
def undisturbed() -> TrainingResult:
    return run(TABLES, **CHOSEN)


def same(one: TrainingResult, other: TrainingResult) -> bool:
    told = (one.metrics, one.validation_losses, one.best_iteration, one.counts, one.clipped)
    return one.model_text == other.model_text and told == (
        other.metrics,
        other.validation_losses,
        other.best_iteration,
        other.counts,
        other.clipped,
    )


def calls_of_a_run(folder: Path) -> int:
    transport = Mortal(Sites(TABLES, folder / "sites"))
    trained(transport, AGREED, folder / "journal")
    return len(transport.calls)


def rounds_asked(transport: Mortal) -> list[tuple[str, tuple[int, int]]]:
    return [(type(request).__name__, request.slot.position) for request, _ in transport.calls]


def test_a_journal_changes_neither_the_model_nor_the_books(
    tmp_path: Path, undisturbed: TrainingResult
) -> None:
    result = trained(Mortal(Sites(TABLES, tmp_path / "sites")), AGREED, tmp_path / "journal")
    assert same(result, undisturbed)
    assert (result.rounds, result.bytes_up) == (undisturbed.rounds, undisturbed.bytes_up)
    assert result.largest_message == undisturbed.largest_message


@pytest.mark.parametrize(("moment", "first_call"), [("before", 0), ("after", 1)])
def test_killed_at_any_message_the_run_ends_in_the_same_bytes(
    moment: str, first_call: int, tmp_path: Path, undisturbed: TrainingResult
) -> None:
    """And no round is asked again but the one that was under way."""
    for number in range(first_call, calls_of_a_run(tmp_path / "whole"), 2):
        folder = tmp_path / f"{moment} {number}"
        sites = Sites(TABLES, folder / "sites")

        def die(call: int, _request: m.Request, at: int = number) -> None:
            if call == at:
                raise Killed

        kills: dict[str, Any] = {moment: die}
        first = Mortal(sites, **kills)
        with pytest.raises(Killed):
            trained(first, AGREED, folder / "journal")
        second = Mortal(sites)
        assert same(trained(second, AGREED, folder / "journal"), undisturbed)
        asked = rounds_asked(second)
        again = [one for one in asked if one[0] != "ResumeRun"]
        under_way = rounds_asked(first)[-1]
        assert set(again) & set(rounds_asked(first)) <= {under_way}
        assert max(Counter(again).values()) == 1


def test_what_was_finished_is_never_asked_again_however_often_the_coordinator_dies(
    tmp_path: Path, undisturbed: TrainingResult
) -> None:
    """Killed after every answer: each site answers each round twice at most, in the same bytes."""
    sites = Sites(TABLES, tmp_path / "sites")
    replies: dict[tuple[str, str, tuple[int, int]], set[bytes]] = {}
    sent: Counter[tuple[str, str, tuple[int, int]]] = Counter()

    def heard(envelope: Any) -> None:
        if envelope.direction == "to_site":
            request = m.decode_request(envelope.body)
            last[envelope.site] = (envelope.site, type(request).__name__, request.slot.position)
            sent[last[envelope.site]] += 1
        else:
            replies.setdefault(last[envelope.site], set()).add(envelope.body)

    last: dict[str, tuple[str, str, tuple[int, int]]] = {}

    def die(_call: int, request: m.Request) -> None:
        body = m.encode(request)
        if not isinstance(request, m.ResumeRun) and body not in deaths:
            deaths.add(body)
            raise Killed

    deaths: set[bytes] = set()
    for _ in range(40):
        transport = Mortal(sites, after=die, on_message=heard)
        try:
            result = trained(transport, AGREED, tmp_path / "journal")
            break
        except Killed:
            continue
    assert len(deaths) > 15
    assert same(result, undisturbed)
    rounds = {key: count for key, count in sent.items() if key[1] != "ResumeRun"}
    assert set(rounds.values()) == {2}
    assert all(len(bodies) == 1 for bodies in replies.values())


def test_a_site_that_is_away_when_the_run_begins_is_waited_for(
    tmp_path: Path, undisturbed: TrainingResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    transport = Mortal(Sites(TABLES, tmp_path / "sites"))
    monkeypatch.setattr(transport, "sites", lambda: ["a", "b"])
    with pytest.raises(FederationError, match="a site of the manifest cannot be reached"):
        train(transport, AGREED)
    assert same(trained(transport, AGREED, tmp_path / "journal"), undisturbed)


def test_one_process_may_go_on_itself(tmp_path: Path, undisturbed: TrainingResult) -> None:
    sites, control = Sites(TABLES, tmp_path / "sites"), RunControl()
    journal = RunJournal(tmp_path / "journal")

    def pause(_call: int, request: m.Request) -> None:
        if request.slot.position == (1, 0):
            control.pause()

    with pytest.raises(RunPaused):
        train(Mortal(sites, after=pause), AGREED, journal=journal, control=control)
    result = train(Mortal(sites), AGREED, journal=journal)
    assert same(result, undisturbed)
    assert result.bytes_up.keys() == undisturbed.bytes_up.keys()
    assert result.rounds == undisturbed.rounds + 1
    assert train(Mortal(sites), AGREED, journal=journal).rounds == result.rounds


def test_what_a_level_decided_is_on_the_disk_before_it_is_sent_and_before_it_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The coordinator's journal holds the request, flushed; then the site's checkpoint does."""
    flushed: dict[str, bytes] = {}
    flush = os.fdatasync

    def noted(file: int) -> None:
        flush(file)
        path = Path(f"/proc/self/fd/{file}").readlink()
        flushed[str(path)] = path.read_bytes()

    def held(folder: str, body: bytes) -> bool:
        return any(body in kept for path, kept in flushed.items() if folder in path)

    def heard(envelope: Envelope) -> None:
        if envelope.direction == "to_site":
            asked[envelope.site] = envelope.body
            assert held("/journal/", envelope.body)
        elif not isinstance(m.decode_request(asked[envelope.site]), m.PresentKey | m.AgreeKeys):
            assert held(f"/sites/{envelope.site}/checkpoint/", asked[envelope.site])
            answered.append(envelope.site)

    asked: dict[str, bytes] = {}
    answered: list[str] = []
    monkeypatch.setattr("fed_audience.federation.lasting.record_log.os.fdatasync", noted)
    transport = Mortal(Sites(TABLES, tmp_path / "sites"), on_message=heard)
    trained(transport, AGREED, tmp_path / "journal")
    assert len(answered) == 3 * (len(transport.calls) - 2)


def test_a_run_that_is_over_is_had_again_without_a_message(
    tmp_path: Path, undisturbed: TrainingResult
) -> None:
    sites = Sites(TABLES, tmp_path / "sites")
    trained(Mortal(sites), AGREED, tmp_path / "journal")
    nobody = Mortal(Sites({}, tmp_path))
    journal = RunJournal(tmp_path / "journal")
    again = resume(nobody, journal)
    assert same(again, undisturbed)
    assert again.rounds == undisturbed.rounds
    assert nobody.calls == []


def test_events_and_warnings_of_finished_trees_are_told_again(tmp_path: Path) -> None:
    seen: list[Any] = []
    sites = Sites(TABLES, tmp_path / "sites")

    def die(_call: int, request: m.Request) -> None:
        if request.slot.position == (1, 1):
            raise Killed

    with pytest.raises(Killed):
        trained(Mortal(sites, before=die), AGREED, tmp_path / "journal")
    result = trained(Mortal(sites), AGREED, tmp_path / "journal", on_event=seen.append)
    assert e.RunResumed(1) in seen
    assert [event.number for event in seen if isinstance(event, e.TreeGrown)] == [1, 2]
    assert result.warnings == ()


def test_the_sums_of_a_finished_tree_are_let_go(tmp_path: Path) -> None:
    def die(_call: int, request: m.Request) -> None:
        if request.slot.position == (1, 1):
            raise Killed

    with pytest.raises(Killed):
        trained(Mortal(Sites(TABLES, tmp_path / "sites"), before=die), AGREED, tmp_path / "journal")
    files = sorted(path.name for path in (tmp_path / "journal").iterdir())
    assert files == ["journal.log", "tree-000001.log"]


def test_a_folder_holds_one_run(tmp_path: Path) -> None:
    sites = Sites(TABLES, tmp_path / "sites")
    trained(Mortal(sites), AGREED, tmp_path / "journal")
    with pytest.raises(ConfigError, match="journal of another run"):
        trained(Mortal(sites), replace(AGREED, run_id="other"), tmp_path / "journal")
    with pytest.raises(ConfigError, match="no run to resume"):
        resume(Mortal(sites), RunJournal(tmp_path / "empty"))


def test_two_coordinators_do_not_share_a_journal(tmp_path: Path) -> None:
    journal = RunJournal(tmp_path)
    with pytest.raises(ResourceError, match="another process holds"):
        RunJournal(tmp_path)
    journal.close()
    RunJournal(tmp_path).close()


def test_a_program_that_would_decide_otherwise_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sites = Sites(TABLES, tmp_path / "sites")

    def die(_call: int, request: m.Request) -> None:
        if request.slot.position == (1, 2):
            raise Killed

    with pytest.raises(Killed):
        trained(Mortal(sites, before=die), AGREED, tmp_path / "journal")
    siblings = TreeGrower._siblings

    def other_child(self: TreeGrower, done: NodeSplit) -> Any:
        found = siblings(self, done)
        return found and type(found)(found.parent, found.derived, found.built)

    monkeypatch.setattr(TreeGrower, "_siblings", other_child)
    with pytest.raises(FederationError, match="decides otherwise than the journal"):
        trained(Mortal(sites), AGREED, tmp_path / "journal")


def test_a_paused_run_rests_at_a_level_and_is_resumed(
    tmp_path: Path, undisturbed: TrainingResult
) -> None:
    sites, control = Sites(TABLES, tmp_path / "sites"), RunControl()

    def pause(_call: int, request: m.Request) -> None:
        if request.slot.position == (1, 1):
            control.pause()

    first = Mortal(sites, after=pause)
    with pytest.raises(RunPaused, match="resume it"):
        trained(first, AGREED, tmp_path / "journal", control=control)
    assert rounds_asked(first)[-1][1] == (1, 1)
    second = Mortal(sites)
    assert same(trained(second, AGREED, tmp_path / "journal"), undisturbed)
    assert rounds_asked(second)[1][1] == (1, 2)


def test_a_cancelled_run_is_forgotten_by_the_sites_and_cannot_be_resumed(tmp_path: Path) -> None:
    sites, control = Sites(TABLES, tmp_path / "sites"), RunControl()

    def stop(_call: int, request: m.Request) -> None:
        if request.slot.position == (1, 1):
            control.cancel()

    transport = Mortal(sites, after=stop)
    with pytest.raises(RunCancelled):
        trained(transport, AGREED, tmp_path / "journal", control=control)
    assert rounds_asked(transport)[-1][0] == "ForgetRun"
    assert [path.name for path in (tmp_path / "journal").iterdir()] == ["journal.log"]
    for name in NAMES:
        assert (tmp_path / "sites" / name / "checkpoint" / "run.log").stat().st_size < 60
    with pytest.raises(FederationError, match="was cancelled"):
        trained(Mortal(sites), AGREED, tmp_path / "journal")


def test_an_interrupted_run_is_cancelled_from_its_folder(tmp_path: Path) -> None:
    sites = Sites(TABLES, tmp_path / "sites")

    def die(_call: int, request: m.Request) -> None:
        if request.slot.position == (1, 1):
            raise Killed

    with pytest.raises(Killed):
        trained(Mortal(sites, before=die), AGREED, tmp_path / "journal")
    sites.start("b")
    journal = RunJournal(tmp_path / "journal")
    transport = Mortal(sites)
    assert cancel(transport, journal) == ()
    level = transport_of_last_level(AGREED.run_id)
    for name in NAMES:
        reply = m.decode_reply(sites.programs[name].handle(level))
        assert isinstance(reply, m.Refused)
        assert reply.reason == "no_run"
        record = next((tmp_path / "sites" / name / "ledger").glob("run-*.json"))
        assert record.exists()


def transport_of_last_level(run_id: str) -> bytes:
    slot = m.Slot(run=run_id, tree=1, level=0)
    return m.encode(m.PresentKey(slot=slot))


def test_a_finished_run_is_forgotten_when_it_was_measured(tmp_path: Path) -> None:
    sites = Sites(TABLES, tmp_path / "sites")
    transport = Mortal(sites)
    trained(transport, AGREED, tmp_path / "journal")
    forget(transport, AGREED)
    reply = m.decode_reply(sites.programs["a"].handle(transport_of_last_level(AGREED.run_id)))
    assert isinstance(reply, m.Refused)
    assert reply.reason == "no_run"


def test_sites_without_a_checkpoint_do_not_resume(tmp_path: Path) -> None:
    """They cannot tell whether consent was withdrawn while nobody asked."""
    sites = Sites(TABLES, tmp_path / "sites")
    sites.programs |= programs(TABLES)
    transport = Mortal(sites)

    def die(_call: int, request: m.Request) -> None:
        if request.slot.position == (1, 1):
            raise Killed

    dying = Mortal(sites, before=die)
    with pytest.raises(Killed):
        trained(dying, AGREED, tmp_path / "journal")
    with pytest.raises(FederationError, match=r"refused \(no_checkpoint\)"):
        trained(transport, AGREED, tmp_path / "journal")


def test_without_a_journal_a_run_can_be_paused_but_not_resumed(tmp_path: Path) -> None:
    sites, control = Sites(TABLES, tmp_path), RunControl()
    control.pause()
    transport = Mortal(sites)
    with pytest.raises(RunPaused):
        train(transport, AGREED, control=control)
    assert transport.calls == []


def test_a_cut_network_is_waited_for(tmp_path: Path, undisturbed: TrainingResult) -> None:
    """Nobody answers for two sendings of every round; then the same bytes arrive."""
    seen: Counter[bytes] = Counter()

    def cut(site: str, request: m.Request) -> Fate:
        body = site.encode() + m.encode(request)
        seen[body] += 1
        return (
            "arrives"
            if seen[body] > 2
            else ("lost on the way there", "lost on the way back")[seen[body] % 2]
        )

    sites = Sites(TABLES, tmp_path / "sites")
    journal = RunJournal(tmp_path / "journal")
    result = train(Mortal(sites, fate=cut), AGREED, journal=journal, timeout=1.0, retries=2)
    assert same(result, undisturbed)
    assert result.warnings == ()


def test_clocks_that_jump_change_nothing(
    tmp_path: Path, undisturbed: TrainingResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    sites = Sites(TABLES, tmp_path / "sites")
    draw = Random(4)  # noqa: S311 - which time, no secret

    def jump(call: int, request: m.Request) -> None:
        if request.slot.position == (1, 1) and call > 5:
            raise Killed

    with monkeypatch.context() as jumping:
        jumping.setattr("time.time", lambda: draw.uniform(-1e9, 4e9))
        jumping.setattr("time.time_ns", lambda: draw.randrange(2**60))
        with pytest.raises(Killed):
            trained(Mortal(sites, before=jump), AGREED, tmp_path / "journal")
        for name in NAMES:
            sites.start(name)
        result = trained(Mortal(sites), AGREED, tmp_path / "journal")
    assert same(result, undisturbed)


@pytest.mark.parametrize("part", ["federation", "privacy", "gbdt"])
def test_no_decision_of_a_run_looks_at_a_wall_clock(part: str) -> None:
    """Certificates and what is shown to people may; they are in folders of their own."""
    package = Path(fed_audience.__file__).parent / part
    looking = [
        path.name
        for path in package.glob("*.py")
        if WALL_CLOCK.search(path.read_text(encoding="utf-8")) and path.name not in DATED
    ]
    assert looking == []

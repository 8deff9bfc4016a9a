"""The audit log of a run between organisations: one at the coordinator, signed by every site."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from fed_audience.audit import entries as e
from fed_audience.audit.verification import Verification, verify
from fed_audience.errors import AuditError, RunInterrupted
from fed_audience.federation.messages import members as mm
from fed_audience.jobs import audit_rounds
from fed_audience.jobs.agent_witness import SiteWitness
from fed_audience.jobs.coordinator_program import CoordinatorProgram
from fed_audience.jobs.run_book import RunRecord
from tests.jobs.three_organisations import SITES, Organisations


@pytest.fixture
def signed(signed: Organisations, monkeypatch: pytest.MonkeyPatch) -> Organisations:
    """Three small trees, and a checkpoint between any two of them."""
    monkeypatch.setattr(audit_rounds, "CHECKPOINT_ENTRIES", 1)
    return signed


def log_of(organisations: Organisations) -> Path:
    (path,) = (organisations.folder / "operator" / "audit").glob("*.jsonl")
    return path


def kept(organisations: Organisations, site: str) -> Path:
    return organisations.folder / site / "audit" / "federation"


def verified(organisations: Organisations, *, finished: bool = True) -> Verification:
    """Verify with the keys that `ant` has from the contract, and every site's checkpoint."""
    return verify(
        log_of(organisations),
        pinned=kept(organisations, "ant") / "trusted.keys",
        kept=[kept(organisations, site) for site in SITES],
        finished=finished,
    )


def done(record: RunRecord | None) -> RunRecord:
    assert record is not None
    assert record.stage == "settled"
    return record


def rested(organisations: Organisations, trees: int) -> CoordinatorProgram:
    """Begin a run and let the coordinator end after ``trees`` trees."""
    program = organisations.coordinator()

    def watch() -> None:
        if program.view.trees[0] >= trees:
            program.pause()

    program._on_change = watch
    with pytest.raises(RunInterrupted):
        program.step()
    return program


def test_a_run_is_told_from_its_manifest_to_the_model_at_every_brand(
    signed: Organisations,
) -> None:
    record = done(signed.coordinator().step())
    found = verified(signed)
    kinds = [type(one) for one in found.entries if not isinstance(one, e.RoundSummed)]
    assert kinds == [
        e.LogOpened,
        e.RunStarted,
        e.Decision,
        e.ModelTrained,
        *[e.ModelRegistered] * 3,
        e.RunEnded,
    ]
    opened, started = found.entries[:2]
    assert isinstance(opened, e.LogOpened)
    assert isinstance(started, e.RunStarted)
    assert not opened.one_process
    assert found.unchecked == ()
    contract = signed.coordinator()._contracts.held()
    assert contract is not None
    assert started.configuration_sha256 == contract.contract.sha256
    assert {one.model_sha256 for one in found.entries if isinstance(one, e.ModelRegistered)} == {
        record.model_sha256
    }
    rounds = [one for one in found.entries if isinstance(one, e.RoundSummed)]
    assert all([reply.site for reply in one.received] == list(SITES) for one in rounds)
    # The beginning, between the trees, and the end.
    assert found.checkpoints >= 5


def test_a_tail_that_the_coordinator_writes_anew_is_not_the_one_the_sites_kept(
    signed: Organisations,
) -> None:
    """The coordinator's own key signs every entry: only what the sites kept gives it away."""
    program = rested(signed, 1)
    before = log_of(signed).read_bytes()
    signed.now += timedelta(minutes=1)
    done(signed.coordinator().step())
    log_of(signed).write_bytes(before)
    with pytest.raises(AuditError, match="the log was cut off: a party kept a checkpoint"):
        verified(signed, finished=False)
    (record,) = program.book.runs()
    log = program.audits._opened(record.run)
    with pytest.raises(AuditError, match="shorter than the one a site remembers"), log:
        log.append(e.RunResumed, run=record.run)
    log = program.audits._opened(record.run)
    for _ in range(200):
        log.append(e.RunResumed, run=record.run)
    with pytest.raises(AuditError, match="it does not continue the checkpoint of"), log:
        log.checkpoint()
    with pytest.raises(AuditError, match="the log was forked: a party kept another checkpoint"):
        verified(signed, finished=False)


def test_a_site_signs_no_second_log_of_a_run(signed: Organisations) -> None:
    rested(signed, 1)
    log_of(signed).rename(signed.folder / "first.jsonl")
    record = signed.coordinator().step()
    assert record is not None
    assert record.outcome is not None
    assert record.outcome.status == "failed"
    assert "the log is shorter than the one a site remembers" in record.outcome.why
    for site in SITES:
        with pytest.raises(AuditError, match=r"cut off|forked"):
            verify(log_of(signed), kept=[kept(signed, site)], finished=False)


def test_a_run_that_goes_on_keeps_its_log_and_no_round_is_missing(
    signed: Organisations, quick_folder: Path
) -> None:
    undisturbed = Organisations(quick_folder / "undisturbed")
    shutil.copytree(signed.folder, undisturbed.folder)
    for site in SITES:
        undisturbed.start(site)
    done(undisturbed.coordinator().step())
    rested(signed, 1)
    for site in SITES:
        signed.stop(site)
        signed.start(site)
    done(signed.coordinator().step())

    def rounds(organisations: Organisations) -> Counter[tuple[str, int, int]]:
        return Counter(
            (one.kind, one.tree, one.level)
            for one in verified(organisations).entries
            if isinstance(one, e.RoundSummed) and one.kind != "ResumeRun"
        )

    assert rounds(signed) == rounds(undisturbed)
    assert sum(isinstance(one, e.RunResumed) for one in verified(signed).entries) == 1
    for desk in undisturbed.desks.values():
        desk.close()


def test_a_round_that_was_under_way_when_the_coordinator_died_is_told_again(
    signed: Organisations,
) -> None:
    """Its entry is on the disk and its sum is not: the same round is asked once more."""
    program, calls = signed.coordinator(), signed.link.call
    died = ConnectionAbortedError("the power is gone")

    def dying(body: bytes, to: Sequence[str], timeout: float) -> Iterator[tuple[str, bytes]]:
        yield from calls(body, to, timeout)
        if program.view.trees[0] == 1:
            raise died

    signed.link.call = dying  # type: ignore[method-assign]
    with pytest.raises(ConnectionAbortedError):
        program.step()
    signed.link.call = calls  # type: ignore[method-assign]
    told = verified(signed, finished=False).entries[-1]
    assert isinstance(told, e.RoundSummed)
    done(signed.coordinator().step())
    same = [
        one.aggregate
        for one in verified(signed).entries
        if isinstance(one, e.RoundSummed)
        and (one.kind, one.tree, one.level) == (told.kind, told.tree, told.level)
    ]
    assert same == [told.aggregate] * 2


def test_a_site_that_is_away_signs_when_it_is_back(signed: Organisations) -> None:
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
    assert record.stage == "ended"
    with pytest.raises(AuditError, match="not counter-signed the end"):
        verified(signed)
    open_log = verified(signed, finished=False)
    assert "how the run ends" in open_log.unchecked[-1]
    signed.stop("cat")
    signed.start("cat")
    signed.coordinator().step()
    assert [one.stage for one in program.book.runs()] == ["settled"]
    assert isinstance(verified(signed).entries[-1], e.RunEnded)


def test_a_run_does_not_begin_before_every_site_signed_its_log(signed: Organisations) -> None:
    program = signed.coordinator()
    answer = signed.desks["bee"].answer

    def absent(kind: str, body: bytes) -> bytes:
        if kind == mm.CounterSign.kind:
            signed.link.cut("bee")
            return b""
        return answer(kind, body)

    signed.desks["bee"].answer = absent  # type: ignore[method-assign]
    ask = signed.link.ask

    def asked(site: str, kind: str, body: bytes, timeout: float) -> bytes:
        found = ask(site, kind, body, timeout)
        return found or ask(site, kind, body, timeout)

    signed.link.ask = asked  # type: ignore[method-assign]
    assert program.step() is None
    begun = verify(log_of(signed), finished=False)
    assert [type(one) for one in begun.entries] == [e.LogOpened, e.RunStarted]
    assert (begun.checkpoints, program.view.run) == (0, None)
    (said,) = program._said.values()
    assert "no answer from bee" in said
    signed.stop("bee")
    signed.start("bee")
    done(signed.coordinator().step())
    verified(signed)


def test_a_site_fetches_the_log_and_compares_it_with_what_it_kept(signed: Organisations) -> None:
    program = signed.coordinator()
    record = done(program.step())
    witness = SiteWitness(signed.settings("bee"), "bee", lambda: signed.now)

    def ask(kind: str, body: bytes) -> bytes:
        assert kind == mm.LogWanted.kind
        return program.audits.part(mm.decode(mm.LogWanted, body), "bee").encode()

    found = witness.fetch(record.run, ask)
    assert found.path == kept(signed, "bee") / f"{record.run}.jsonl"
    assert found.path.read_bytes() == log_of(signed).read_bytes()
    lines = log_of(signed).read_bytes().splitlines(keepends=True)
    log_of(signed).write_bytes(b"".join(lines[:-9]))
    with pytest.raises(AuditError, match="a party kept a checkpoint of a longer one"):
        witness.fetch(record.run, ask)
    assert found.path.read_bytes() == b"".join(lines)
    with pytest.raises(AuditError, match="no log of such a run of that site"):
        program.audits.part(mm.LogWanted(run=record.run), "dog")


def test_a_site_signs_nothing_but_the_log_of_its_run_by_the_coordinator_of_its_contract(
    signed: Organisations,
) -> None:
    asked: list[bytes] = []
    ask = signed.link.ask

    def heard(site: str, kind: str, body: bytes, timeout: float) -> bytes:
        if kind == mm.CounterSign.kind and site == "ant":
            asked.append(body)
        return ask(site, kind, body, timeout)

    signed.link.ask = heard  # type: ignore[method-assign]
    done(signed.coordinator().step())
    last = mm.decode(mm.CounterSign, asked[-1])

    def refusal(**changes: object) -> str:
        message = last.model_copy(update=changes).encode()
        reply = signed.desks["ant"].answer(mm.CounterSign.kind, message)
        answer = mm.decode(mm.CounterSigned, reply)
        assert answer.line is None
        return answer.refused

    assert "the site is in no such run" in refusal(run="another")
    assert "is no checkpoint" in refusal(note="nothing")
    size = int(last.note.splitlines()[1])
    forged = last.note.replace(f"\n{size}\n", f"\n{size + 1}\n")
    assert "does not match" in refusal(note=forged, first=size)
    origin = last.note.replace("fed-audience/three/", "fed-audience/four/")
    assert "of another log" in refusal(note=origin, first=size)

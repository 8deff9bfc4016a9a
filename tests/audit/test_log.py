"""Writing a log: what a crash leaves is recovered and told, what was tampered with is refused."""

from __future__ import annotations

import fcntl
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fed_audience.audit import entries as e
from fed_audience.audit import log as log_module
from fed_audience.audit.fields import band
from fed_audience.audit.log import AuditLog
from fed_audience.audit.verification import verify
from fed_audience.errors import AuditError, ResourceError
from tests.audit.example import RUN, SITES, Parties, end, start, sum_round, whole_log


@pytest.fixture
def parties(tmp_path: Path) -> Parties:
    return Parties(tmp_path)


def scored(log: AuditLog, site: str = "fashion") -> None:
    log.append(
        e.Scored,
        model="repurchase",
        model_sha256="a" * 64,
        site=site,
        as_of="2026-10-01T00:00:00.000000Z",
        customers=band(20_000),
    )


def test_a_log_is_counter_signed_at_its_start_and_at_its_end(parties: Parties) -> None:
    log = parties.begin()
    assert parties.kept("travel").read_text().splitlines()[1] == "1"
    start(log)
    end(log)
    with log:
        pass
    for site in SITES:
        assert parties.kept(site).read_text().splitlines()[1] == "5"
    assert verify(log.path).checkpoints == 2


def test_a_log_is_continued_by_another_process(parties: Parties) -> None:
    path = whole_log(parties)
    with parties.open() as log:
        scored(log)
        assert len(log.entries) == 6  # and six rounds, which are not held
    found = verify(path, pinned=parties.pinned, kept=[parties.folder / "kept"])
    assert isinstance(found.entries[-1], e.Scored)


def test_opening_a_log_and_saying_nothing_changes_nothing(parties: Parties) -> None:
    path = whole_log(parties)
    before = path.read_bytes()
    with parties.open():
        pass
    assert path.read_bytes() == before


def test_a_log_is_begun_once(parties: Parties) -> None:
    whole_log(parties)
    with pytest.raises(AuditError, match="there is a log already"):
        parties.begin()


def test_a_log_that_was_taken_away_is_not_begun_anew(parties: Parties) -> None:
    whole_log(parties).unlink()
    with pytest.raises(AuditError, match="cut off: a party kept a checkpoint of a longer one"):
        parties.begin()


def test_a_line_cut_short_by_a_crash_is_dropped_and_told(parties: Parties) -> None:
    path = whole_log(parties)
    with path.open("ab") as file:
        file.write(b'{"entry":{"at":"2026')
    with pytest.raises(AuditError, match=r"cut short; value: entry 11; .* line 17"):
        verify(path)
    with parties.open() as log:
        scored(log)
    found = verify(path, kept=[parties.folder / "kept"])
    recovered = found.entries[11]
    assert isinstance(recovered, e.LogRecovered)
    assert (recovered.bytes_dropped, recovered.entries_kept) == (20, 0)


def test_entries_that_no_site_had_signed_yet_are_kept_and_told(parties: Parties) -> None:
    path = whole_log(parties)
    log = parties.open()
    scored(log)
    log.close()
    with pytest.raises(AuditError, match=r"have not counter-signed .* value: entry 11"):
        verify(path)
    with parties.open():
        pass
    recovered = verify(path).entries[12]
    assert isinstance(recovered, e.LogRecovered)
    assert (recovered.bytes_dropped, recovered.entries_kept) == (0, 1)


def test_a_crash_between_the_sites_signatures_and_the_line_is_recovered(parties: Parties) -> None:
    path = whole_log(parties)
    log = parties.open()
    scored(log)
    log.checkpoint()
    log.close()
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    with parties.open():
        pass
    assert verify(path, kept=[parties.folder / "kept"]).entries[-1].__class__ is e.LogRecovered


@pytest.mark.parametrize("index", [0, 1, 2, 5, 8, 14, 15])
def test_nothing_is_appended_to_a_tampered_log(parties: Parties, index: int) -> None:
    path = whole_log(parties)
    lines = path.read_bytes().splitlines(keepends=True)
    broken = bytearray(lines[index])
    broken[len(broken) // 2] ^= 1
    lines[index] = bytes(broken)
    path.write_bytes(b"".join(lines))
    before = path.read_bytes()
    with pytest.raises(AuditError):
        parties.open()
    assert path.read_bytes() == before


def test_nothing_is_appended_to_a_log_whose_tail_was_cut_off(parties: Parties) -> None:
    path = whole_log(parties)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-4]))
    with pytest.raises(AuditError, match="the log was cut off"):
        parties.open()


def test_a_site_refuses_a_checkpoint_beside_the_one_it_signed(parties: Parties) -> None:
    path = whole_log(parties)
    before = path.read_bytes()
    with parties.open() as log:
        scored(log, "fashion")
    path.write_bytes(before)
    for site in SITES:
        parties.kept(site).rename(parties.kept(site).with_suffix(".aside"))
    log = parties.open()
    for site in SITES:
        parties.kept(site).with_suffix(".aside").rename(parties.kept(site))
    scored(log, "grocery")
    with pytest.raises(AuditError, match=r"brands/fashion refuses .* does not continue"):
        log.checkpoint()
    log.close()


def test_a_site_whose_memory_was_changed_does_not_sign(parties: Parties) -> None:
    whole_log(parties)
    kept = parties.kept("grocery")
    kept.write_text(kept.read_text().replace("\n11\n", "\n10\n"))
    with pytest.raises(AuditError, match="grocery"):
        parties.open()


def test_a_log_has_one_writer(parties: Parties, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "LOCK_SECONDS", 0.1)
    path = whole_log(parties)
    with path.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(ResourceError, match="another process"):
            parties.open()
    parties.open().close()


class Full:
    """A disk that takes only the first bytes of a line."""

    def __init__(self, file: object) -> None:
        self._file = file

    def write(self, line: bytes) -> int:
        return int(self._file.write(line[:10]))  # type: ignore[attr-defined]

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)


def test_a_full_disk_leaves_the_log_as_it_was(parties: Parties) -> None:
    path = whole_log(parties)
    before = path.read_bytes()
    log = parties.open()
    log._file = Full(log._file)
    with log:
        with pytest.raises(ResourceError, match="nothing goes on without it"):
            scored(log)
        with pytest.raises(AuditError, match="could not be written before"):
            scored(log)
    assert path.read_bytes() == before
    assert len(verify(path).entries) == 11


def test_instants_never_go_back(parties: Parties) -> None:
    whole_log(parties)
    parties.clock = lambda: datetime(2020, 1, 1, tzinfo=UTC)
    with parties.open() as log:
        scored(log)
        assert log.entries[-1].at == log.entries[-2].at


def test_an_entry_of_no_known_form_is_refused_before_it_is_signed(parties: Parties) -> None:
    with parties.begin() as log:
        start(log)
        before = log.path.read_bytes()
        with pytest.raises(ValueError, match="rows_sum"):
            log.append(e.Decision, rows_sum=[1, 2, 3])
        assert log.path.read_bytes() == before
        sum_round(log, 0, 0)
        end(log)
    assert verify(log.path).opened.origin == f"fed-audience/brands/{RUN}"


def test_a_round_is_told_once_and_rounds_of_one_slot_differ_in_kind(parties: Parties) -> None:
    with parties.begin() as log:
        start(log)
        told = sum_round(log, 0, 1)
        with pytest.raises(ValueError, match="does not come after"):
            sum_round(log, 0, 1)
        with pytest.raises(ValueError, match="does not come after"):
            sum_round(log, 0, 0)
        fields = told.model_dump(exclude={"sequence", "at", "checkpoint", "type"})
        log.append(e.RoundSummed, **fields | {"kind": "AgreeKeys"})
        sum_round(log, 0, 2)
        end(log)
    assert len(verify(log.path).entries) == 8

"""A log is believed only as it was written: every way of changing it is noticed and named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fed_audience.audit import entries as e
from fed_audience.audit import notes
from fed_audience.audit.fields import band
from fed_audience.audit.keys import write_pinned
from fed_audience.audit.lines import (
    CheckpointLine,
    EntryLine,
    checkpoint_line,
    entry_line,
    read_line,
)
from fed_audience.audit.merkle import MerkleTree
from fed_audience.audit.verification import verify
from fed_audience.errors import AuditError, ConfigError
from tests.audit.example import Parties, end, start, sum_round, whole_log

Changed = Callable[[list[bytes]], list[bytes]]


@pytest.fixture(scope="module")
def parties(tmp_path_factory: pytest.TempPathFactory) -> Parties:
    return Parties(tmp_path_factory.mktemp("parties"))


@pytest.fixture(scope="module")
def log(parties: Parties) -> Path:
    return whole_log(parties)


def lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def refused(path: Path, body: bytes, parties: Parties, *, kept: bool = False) -> str:
    """Return what is said of a log whose bytes are ``body``, which must be refused."""
    other = path.with_name("changed") / path.name
    other.parent.mkdir(exist_ok=True)
    other.write_bytes(body)
    with pytest.raises(AuditError) as caught:
        verify(other, pinned=parties.pinned, kept=[parties.folder / "kept"] if kept else [])
    assert caught.value.exit_code == 13
    return str(caught.value)


def entry_number(lines: list[bytes], index: int) -> int:
    return sum(line.startswith(b'{"entry"') for line in lines[:index])


def test_a_log_as_it_was_written_is_believed(log: Path, parties: Parties) -> None:
    found = verify(log, pinned=parties.pinned, kept=[parties.folder / "kept"])
    assert [type(entry) for entry in found.entries] == [
        e.LogOpened,
        e.RunStarted,
        *[e.RoundSummed] * 6,
        e.Decision,
        e.ModelTrained,
        e.RunEnded,
    ]
    assert found.checkpoints == 5
    assert found.unchecked == ()
    assert len(found.checked) == 4


def test_what_could_not_be_checked_is_said(log: Path) -> None:
    alone = verify(log)
    assert "whose keys these are" in alone.unchecked[0]
    assert "entries are missing" in alone.unchecked[1]


def test_one_flipped_byte_anywhere_is_noticed(log: Path, parties: Parties) -> None:
    body = log.read_bytes()
    lines = lines_of(log)
    starts = [sum(map(len, lines[:index])) for index in range(len(lines))]
    for position in range(0, len(body), 31):
        changed = bytearray(body)
        changed[position] ^= 1 << position % 8
        said = refused(log, bytes(changed), parties)
        line = sum(start <= position for start in starts)
        entry = entry_number(lines, line - 1)
        if lines[line - 1].startswith(b'{"entry"'):
            assert f"entry {entry}; " in said, (position, said)
            assert f"line {line}." in said
        else:
            assert "; value: entry " in said


@given(st.data())
def test_a_flipped_bit_is_noticed_wherever_it_is(
    log: Path, parties: Parties, data: st.DataObject
) -> None:
    body = bytearray(log.read_bytes())
    position = data.draw(st.integers(0, len(body) - 1))
    body[position] ^= data.draw(st.integers(1, 255))
    refused(log, bytes(body), parties)


@pytest.mark.parametrize("index", range(16))
def test_a_removed_line_is_noticed(log: Path, parties: Parties, index: int) -> None:
    lines = lines_of(log)
    assert len(lines) == 16
    number = entry_number(lines, index)
    was_entry = lines[index].startswith(b'{"entry"')
    said = refused(log, b"".join(lines[:index] + lines[index + 1 :]), parties)
    if was_entry and index + 1 < len(lines):
        assert f"entry {number}; " in said
    assert "; value: entry " in said or "empty" in said


@pytest.mark.parametrize("index", range(15))
def test_swapped_lines_are_noticed(log: Path, parties: Parties, index: int) -> None:
    lines = lines_of(log)
    lines[index : index + 2] = lines[index + 1], lines[index]
    refused(log, b"".join(lines), parties)


@pytest.mark.parametrize("index", range(16))
def test_a_repeated_line_is_noticed(log: Path, parties: Parties, index: int) -> None:
    lines = lines_of(log)
    refused(log, b"".join([*lines[: index + 1], *lines[index:]]), parties)


@pytest.mark.parametrize("kept", range(1, 16))
def test_a_tail_cut_off_at_a_line_is_noticed(log: Path, parties: Parties, kept: int) -> None:
    lines = lines_of(log)
    if kept != 2:  # a log that was only opened is whole, as far as it alone can tell
        refused(log, b"".join(lines[:kept]), parties)
    said = refused(log, b"".join(lines[:kept]), parties, kept=True)
    assert "; value: entry " in said


def test_a_tail_cut_off_within_a_line_is_named(log: Path, parties: Parties) -> None:
    body = log.read_bytes()
    said = refused(log, body[:-100], parties)
    assert "the last line of the log is cut short; value: entry 11" in said
    assert "line 16" in said


def test_an_entry_after_the_training_cut_off_is_noticed_by_who_kept_a_checkpoint(
    tmp_path: Path,
) -> None:
    parties = Parties(tmp_path)
    path = whole_log(parties)
    before = path.read_bytes()
    with parties.open() as log:
        log.append(
            e.Scored,
            model="repurchase",
            model_sha256="a" * 64,
            site="fashion",
            as_of="2026-10-01T00:00:00.000000Z",
            customers=band(70_000),
        )
    path.write_bytes(before)
    assert "entries are missing" in verify(path, pinned=parties.pinned).unchecked[0]
    said = refused(path, before, parties, kept=True)
    assert "the log was cut off" in said
    assert "entry 11 is missing; allowed: 12 entries" in said


def rewritten(path: Path, parties: Parties, change: Changed, *, sites: bool = False) -> bytes:
    """Rewrite a log's leaves and sign every line anew with the coordinator's own key.

    Counter-signatures stay as they are, or with ``sites`` are made by new keys of those names.
    """
    read = [read_line(line[:-1]) for line in lines_of(path)]
    leaves = change([line.leaf for line in read if isinstance(line, EntryLine)])
    tree, body = MerkleTree(), b""
    left = iter(leaves)
    origin = json.loads(leaves[0])["origin"]
    for line in read:
        if isinstance(line, EntryLine):
            leaf = next(left)
            tree.append(leaf)
            head = notes.Checkpoint(origin, tree.size, tree.root())
            body += entry_line(leaf, notes.sign_text(head, parties.coordinator))
        else:
            head = notes.Checkpoint(origin, tree.size, tree.root())
            _, signatures = notes.read_note(line.note)
            own = notes.signature_line(
                parties.coordinator_key, notes.sign_text(head, parties.coordinator)
            )
            others = list(signatures[1:])
            if sites:
                others = [
                    notes.signature_line(w.key, notes.cosignature(head, w._signer, 1))
                    for w in parties.witnesses()
                ]
            body += checkpoint_line(notes.note(head, [own, *others]))
    return body


def edited(index: int, old: bytes, new: bytes) -> Changed:
    def change(leaves: list[bytes]) -> list[bytes]:
        assert old in leaves[index]
        return [leaf.replace(old, new) if at == index else leaf for at, leaf in enumerate(leaves)]

    return change


def test_a_tail_rewritten_by_the_coordinator_is_not_what_the_sites_signed(
    log: Path, parties: Parties
) -> None:
    body = rewritten(log, parties, edited(8, b'"all_trees"', b'"no_gain"'))
    said = refused(log, body, parties)
    assert "the counter-signature of brands/fashion does not match" in said
    assert "value: entry 8" in said


def test_a_middle_rewritten_by_the_coordinator_is_named_at_its_checkpoint(
    log: Path, parties: Parties
) -> None:
    body = rewritten(log, parties, edited(5, b"5555", b"5655"))
    assert "value: entry 4" in refused(log, body, parties)


def test_a_log_written_anew_under_other_keys_is_refused(
    log: Path, parties: Parties, tmp_path: Path
) -> None:
    forger = Parties(tmp_path)
    forged = whole_log(forger)
    assert verify(forged).checkpoints == 5
    with pytest.raises(AuditError, match="unknown key: brands/coordinator is pinned with another"):
        verify(forged, pinned=parties.pinned)


def test_a_signature_by_an_unknown_key_is_refused(
    log: Path, parties: Parties, tmp_path: Path
) -> None:
    other = Parties(tmp_path)
    lines = lines_of(log)
    last = read_line(lines[-1][:-1])
    assert isinstance(last, CheckpointLine)
    head, signatures = notes.read_note(last.note)
    stranger = other.witnesses()[0]
    line = notes.signature_line(stranger.key, notes.cosignature(head, stranger._signer, 1))
    for changed in ([signatures[0], line, *signatures[2:]], [*signatures, line]):
        body = b"".join([*lines[:-1], checkpoint_line(notes.note(head, changed))])
        said = refused(log, body, parties)
        assert "unknown key" in said or "twice" in said


def test_a_site_that_has_not_signed_is_named(log: Path, parties: Parties) -> None:
    lines = lines_of(log)
    last = read_line(lines[-1][:-1])
    assert isinstance(last, CheckpointLine)
    head, signatures = notes.read_note(last.note)
    body = b"".join([*lines[:-1], checkpoint_line(notes.note(head, signatures[:-1]))])
    assert "brands/travel has not signed it" in refused(log, body, parties)


def test_two_checkpoints_of_one_size_are_a_fork(log: Path, parties: Parties) -> None:
    body = rewritten(log, parties, edited(10, b'"succeeded"', b'"failed"'), sites=True)
    other = log.with_name("other.jsonl")
    other.write_bytes(body)
    assert verify(other, pinned=parties.pinned).checkpoints == 5
    both = log.read_bytes() + lines_of(other)[-1]
    assert "the log is forked: it holds two checkpoints of one size" in refused(log, both, parties)


def test_a_fork_is_noticed_by_who_kept_the_other_checkpoint(log: Path, parties: Parties) -> None:
    body = rewritten(log, parties, edited(10, b'"succeeded"', b'"failed"'), sites=True)
    said = refused(log, body, parties, kept=True)
    assert "the log was forked" in said


def test_a_kept_checkpoint_of_another_run_is_refused(
    log: Path, parties: Parties, tmp_path: Path
) -> None:
    whole_log(Parties(tmp_path / "other"))
    with pytest.raises(AuditError, match="not one of this log's"):
        verify(log, kept=[tmp_path / "other" / "kept"])
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(AuditError, match="nobody kept a checkpoint"):
        verify(log, kept=[empty])
    with pytest.raises(AuditError, match="cannot be read"):
        verify(log, kept=[tmp_path / "gone.checkpoint"])


def test_a_kept_checkpoint_that_no_site_signed_proves_nothing(
    log: Path, parties: Parties, tmp_path: Path
) -> None:
    head, signatures = notes.read_note(parties.kept("fashion").read_text())
    unsigned = tmp_path / "unsigned.checkpoint"
    unsigned.write_text(notes.note(head, signatures[:1]))
    with pytest.raises(AuditError, match="no site of the log has signed it"):
        verify(log, kept=[unsigned])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (edited(2, b'"tree":0', b'"tree":5'), "round does not come after"),
        (edited(4, b'"at":"2026', b'"at":"2025'), "instant lies before"),
        (edited(10, b'"sequence":10', b'"sequence":11'), "it says it is entry 11"),
        (edited(8, b'"checkpoint":8', b'"checkpoint":7'), "a checkpoint of 7 entries"),
        (edited(9, b'"version":"abc', b'"version":"bbc'), "not the beginning of its hash"),
        (edited(1, b'"travel"],"task"', b'"zoo"],"task"'), "not those that sign"),
        (edited(8, b'"decision":"stop_training"', b'"decision":"sell"'), "malformed"),
        (edited(8, b"{", b'{"note":"x",'), "unknown key 'note'"),
    ],
)
def test_entries_that_cannot_stand_there_are_refused_even_when_all_sign(
    log: Path, parties: Parties, change: Changed, words: str
) -> None:
    assert words in refused(log, rewritten(log, parties, change, sites=True), parties)


def test_a_training_needs_its_beginning_and_its_end(tmp_path: Path) -> None:
    parties = Parties(tmp_path / "end")
    with parties.begin() as log:
        start(log)
        sum_round(log, 0, 0)
    with pytest.raises(AuditError, match="ends inside of a training"):
        verify(log.path)
    other = Parties(tmp_path / "beginning").begin()
    with pytest.raises(ValueError, match="outside of a training"):
        sum_round(other, 0, 0)
    start(other)
    with pytest.raises(ValueError, match="second training"):
        start(other)
    end(other)
    with pytest.raises(ValueError, match="outside of a training"):
        sum_round(other, 0, 0)
    other.close()


def test_pinned_keys_must_be_readable_and_complete(
    log: Path, parties: Parties, tmp_path: Path
) -> None:
    lines = parties.pinned.read_text().splitlines(keepends=True)
    few = tmp_path / "few.keys"
    few.write_text("".join(lines[:-1]))
    with pytest.raises(AuditError, match="brands/travel is not pinned"):
        verify(log, pinned=few)
    for text in ("", "# nobody\n", "x+y+z\n", lines[1] + lines[1], lines[1][:-3] + "\n"):
        few.write_text(text)
        with pytest.raises(ConfigError, match=r"few\.keys"):
            verify(log, pinned=few)
    with pytest.raises(ConfigError, match="cannot be read"):
        verify(log, pinned=tmp_path / "none.keys")


def test_a_pinned_key_is_not_replaced(parties: Parties, tmp_path: Path) -> None:
    pinned = shutil.copy(parties.pinned, tmp_path / "pinned")
    other = Parties(tmp_path / "other")
    with pytest.raises(AuditError, match="not the one that was pinned before"):
        write_pinned(Path(pinned), [other.coordinator_key])


def test_what_is_no_log_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    with pytest.raises(AuditError, match="cannot be read"):
        verify(path)
    for body in (
        b"",
        b"\n",
        b"{}\n",
        b"\xff\x00" * 100 + b"\n",
        b'{"checkpoint":3}\n',
        b"[" * 9999,
    ):
        path.write_bytes(body)
        with pytest.raises(AuditError):
            verify(path)

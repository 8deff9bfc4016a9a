from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from fed_audience.privacy.ledger import FileLedger, SiteLedger
from fed_audience.privacy.refusals import SecureSumError


@pytest.mark.parametrize("kind", ["memory", "file"])
def test_a_saved_record_is_given_back(kind: str, tmp_path: Path) -> None:
    ledger = SiteLedger() if kind == "memory" else FileLedger(tmp_path / "ledger")
    record = replace(ledger.record("run", "terms"), tree=3, survivors=("a", "b"))
    ledger.save(record)
    assert ledger.record("run", "terms") == record


def test_a_file_ledger_survives_its_process(tmp_path: Path) -> None:
    record = FileLedger(tmp_path).record("run", "terms")
    kept = replace(
        record,
        counter=2,
        peers={"b": (1, "ff")},
        tree=1,
        level=2,
        attempt=1,
        vector="00",
        bits=32,
        cohort=("a", "b", "c"),
        survivors=("a", "b"),
        opened=(("a", "b", "c"), ("a", "b")),
    )
    FileLedger(tmp_path).save(kept)
    FileLedger(tmp_path).note_cohort("build", ("a", "b", "c"))
    FileLedger(tmp_path).note_cohort("build", ("a", "b", "c"))
    assert FileLedger(tmp_path).record("run", "terms") == kept
    assert FileLedger(tmp_path).cohorts("build") == (("a", "b", "c"),)
    assert FileLedger(tmp_path).cohorts("another build") == ()


def test_a_run_keeps_its_terms(tmp_path: Path) -> None:
    for ledger in (SiteLedger(), FileLedger(tmp_path)):
        ledger.save(ledger.record("run", "terms"))
        with pytest.raises(SecureSumError) as caught:
            ledger.record("run", "other terms")
        assert caught.value.reason == "other_terms"


def test_secrets_of_two_runs_differ_and_none_but_the_owner_reads_them(tmp_path: Path) -> None:
    ledger = FileLedger(tmp_path / "ledger")
    one, two = ledger.record("one", "t"), ledger.record("two", "t")
    assert len(bytes.fromhex(one.secret)) == 32
    assert one.secret != two.secret
    ledger.save(one)
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "ledger").iterdir()}
    assert modes == {0o600}
    assert (tmp_path / "ledger").stat().st_mode & 0o777 == 0o700


def test_a_record_is_on_the_disk_before_saving_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[str] = []
    real = os.fsync

    def watched(number: int) -> None:
        flushed.append(Path(f"/proc/self/fd/{number}").resolve().name)
        real(number)

    monkeypatch.setattr(os, "fsync", watched)
    ledger = FileLedger(tmp_path)
    ledger.save(ledger.record("run", "terms"))
    (path,) = tmp_path.glob("*.json")
    assert flushed == [f".{path.name}.{os.getpid()}.part", tmp_path.name]


def test_a_failed_write_leaves_the_old_record_and_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = FileLedger(tmp_path)
    record = ledger.record("run", "terms")
    ledger.save(record)

    def full(number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SecureSumError, match="No space left") as caught:
        ledger.save(replace(record, tree=5))
    assert caught.value.reason == "ledger"
    assert ledger.record("run", "terms") == record
    assert FileLedger(tmp_path).record("run", "terms") == record


@pytest.mark.parametrize("text", ["", "{", "[]", '{"run": "run"}'])
def test_a_damaged_record_stops_the_site(text: str, tmp_path: Path) -> None:
    ledger = FileLedger(tmp_path)
    ledger.save(ledger.record("run", "terms"))
    (path,) = tmp_path.glob("*.json")
    path.write_text(text)
    with pytest.raises(SecureSumError) as caught:
        FileLedger(tmp_path).record("run", "terms")
    assert caught.value.reason == "ledger"


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SecureSumError) as caught:
        FileLedger(tmp_path / "file" / "ledger")
    assert caught.value.reason == "ledger"

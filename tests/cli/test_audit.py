"""`fed-audience audit` and `inspect-egress`, as they are typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fed_audience import cli
from fed_audience.federation.recording import Recording, read_recording
from tests.audit.example import RUN, Parties, whole_log
from tests.cli.conftest import Fail
from tests.jobs.small_federation import AS_OF, SmallFederation


@pytest.fixture
def parties(tmp_path: Path) -> Parties:
    parties = Parties(tmp_path)
    whole_log(parties)
    return parties


def say(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    with pytest.raises(SystemExit) as left:
        cli.main([str(part) for part in arguments])
    assert left.value.code == 0
    return capsys.readouterr().out


def test_verify_says_what_it_checked_and_what_it_could_not(
    parties: Parties, capsys: pytest.CaptureFixture[str]
) -> None:
    said = say(capsys, "audit", "verify", parties.folder)
    assert f"{RUN}.jsonl: sound, root " in said
    assert "not checked: whose keys these are" in said
    said = say(
        capsys,
        *("audit", "verify", parties.folder / f"{RUN}.jsonl"),
        *("--keys", parties.pinned, "--kept", parties.folder / "kept", "--json"),
    )
    (found,) = json.loads(said)
    assert found["entries"] == 11
    assert found["unchecked"] == []


def test_a_tampered_log_ends_with_its_own_exit_code(parties: Parties, fail: Fail) -> None:
    log = parties.folder / f"{RUN}.jsonl"
    log.write_bytes(log.read_bytes().replace(b"all_trees", b"no_gain"))
    code, said = fail("audit", "verify", log)
    assert code == 13
    assert "entry 8; " in said
    assert fail("audit", "show", log)[0] == 13
    assert fail("audit", "export", log)[0] == 13


def test_a_folder_without_logs_proves_nothing(fail: Fail, tmp_path: Path) -> None:
    code, said = fail("audit", "verify", tmp_path)
    assert code == 13
    assert "no audit log in the folder" in said


def test_show_tells_each_entry_and_counts_rounds(
    parties: Parties, capsys: pytest.CaptureFixture[str]
) -> None:
    log = parties.folder / f"{RUN}.jsonl"
    said = " ".join(say(capsys, "audit", "show", log).split())
    assert "6 rounds with fashion, grocery, travel, of repurchase" in said
    assert "training ended: succeeded" in said
    said = " ".join(say(capsys, "audit", "show", log, "--rounds").split())
    assert said.count("GrowLevel -> LevelHistogram") == 6
    (shown,) = json.loads(say(capsys, "audit", "show", log, "--json"))
    assert [entry["sequence"] for entry in shown["log"]] == list(range(11))


def test_export_writes_a_file_or_prints(
    parties: Parties, capsys: pytest.CaptureFixture[str], tmp_path: Path, fail: Fail
) -> None:
    log = parties.folder / f"{RUN}.jsonl"
    assert json.loads(say(capsys, "audit", "export", log))["subject"]
    out = tmp_path / "record.md"
    say(capsys, "audit", "export", log, "--format", "art30-markdown", "--out", out)
    assert out.read_text().startswith("# Record of processing")
    assert json.loads(say(capsys, "audit", "export", log, "--format", "art30"))["rounds"] == 6
    assert fail("audit", "export", log, "--format", "xml")[0] == 2


def test_a_training_is_recorded_and_inspected(
    small_federation: SmallFederation,
    capsys: pytest.CaptureFixture[str],
    fail: Fail,
    tmp_path: Path,
) -> None:
    recording = tmp_path / "training.egress"
    say(
        capsys,
        *("train", "repurchase", "--config", small_federation.config, "--as-of", AS_OF),
        *("--record-egress", recording),
    )
    needles = tmp_path / "needles.txt"
    needles.write_text("ant000@example.org\nbee017\n")
    said = " ".join(say(capsys, "inspect-egress", recording, "--needles", needles).split())
    assert "2 needles looked for; 0 complaints" in said
    assert "LevelHistogram" in said
    shown = json.loads(say(capsys, "inspect-egress", recording, "--json"))
    assert shown["complaints"] == []
    messages = list(read_recording(recording))
    with Recording(recording) as again:
        for message in messages:
            again(message)
        again(type(message)("ant", "from_site", b"ant000@example.org"))
    capsys.readouterr()
    with pytest.raises(SystemExit) as left:
        cli.main(["inspect-egress", str(recording), "--needles", str(needles)])
    captured = capsys.readouterr()
    assert left.value.code == 14
    assert "outside the catalogue" in captured.out
    assert captured.err.count("\n") == 1
    assert "ant000" not in captured.out + captured.err

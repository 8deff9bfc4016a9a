"""The audit logs of a demo: they verify, and no longer once they are tampered with."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from fed_audience import cli
from fed_audience.audit import entries as e
from fed_audience.audit import notes
from fed_audience.audit.keys import LOG_KEY, KeyFile, VerifierKey
from fed_audience.audit.lines import (
    CheckpointLine,
    EntryLine,
    checkpoint_line,
    entry_line,
    read_line,
)
from fed_audience.audit.merkle import MerkleTree
from fed_audience.audit.verification import Verification, verify
from fed_audience.errors import AuditError
from fed_audience.testing.needles import Haystack
from tests.end_to_end.finished_demo import FinishedDemo

pytestmark = [pytest.mark.slow, pytest.mark.dbt, pytest.mark.xdist_group("demo")]


@pytest.fixture
def audit(finished_demo: FinishedDemo, tmp_path: Path) -> Path:
    """A copy of the demo's logs and keys."""
    return shutil.copytree(finished_demo.run.workspace.audit, tmp_path / "audit")


def verified(audit: Path, log: Path) -> Verification:
    return verify(log, pinned=audit / "keys" / "trusted.keys", kept=[audit / "kept"])


def log_of(audit: Path, model: str) -> Path:
    (path,) = audit.glob(f"{model}-*.jsonl")
    return path


@pytest.mark.parametrize("model", ["repurchase", "high_value", "premium"])
def test_the_log_of_each_training_verifies(audit: Path, model: str) -> None:
    found = verified(audit, log_of(audit, model))
    kinds = [type(entry) for entry in found.entries]
    assert kinds[:2] == [e.LogOpened, e.RunStarted]
    assert kinds.count(e.ModelTrained) == 1
    assert kinds.count(e.ModelRegistered) == 3
    assert kinds.count(e.Scored) == 3
    assert kinds.count(e.RoundSummed) > 20
    assert found.checkpoints > 4


def test_the_command_verifies_them_all(audit: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys, kept = audit / "keys" / "trusted.keys", audit / "kept"
    with pytest.raises(SystemExit) as left:
        cli.main(
            ["audit", "verify", str(audit), "--keys", str(keys), "--kept", str(kept), "--json"]
        )
    assert left.value.code == 0
    found = json.loads(capsys.readouterr().out)
    checked = {Path(one["path"]): one["checked"] for one in found}
    trainings = [log_of(audit, model) for model in ("repurchase", "high_value", "premium")]
    assert all(len(checked[training]) == 4 for training in trainings)


def test_the_log_names_the_model_that_was_delivered(
    finished_demo: FinishedDemo, audit: Path
) -> None:
    entries = verified(audit, log_of(audit, "repurchase")).entries
    (trained,) = [one for one in entries if isinstance(one, e.ModelTrained)]
    assert trained.model_sha256 == finished_demo.run.outcome.facts.run.model_sha256
    delivered = [one for one in entries if isinstance(one, e.AudienceDelivered)]
    assert {one.site for one in delivered} == {"fashion", "grocery", "travel"}
    assert len(delivered) >= 9


def test_the_rounds_that_compare_brands_are_told_too_and_overrides_with_their_person(
    audit: Path,
) -> None:
    entries = verified(audit, log_of(audit, "premium")).entries
    told = [one for one in entries if isinstance(one, e.Overridden)]
    assert {one.subject for one in told} <= {"grocery", "travel"}
    assert all(one.person == "whoever runs the demo" for one in told)
    runs = {one.run for one in entries if isinstance(one, e.RoundSummed)}
    assert {"brand_difference_fashion_grocery", "brand_difference_fashion_travel"} < runs


def test_no_canary_is_in_any_log(finished_demo: FinishedDemo, audit: Path) -> None:
    haystack = Haystack([*finished_demo.texts, *finished_demo.numbers])
    for log in audit.glob("*.jsonl"):
        assert list(haystack.search(log.read_bytes())) == []


def flip(log: Path, _: Path) -> None:
    body = bytearray(log.read_bytes())
    body[len(body) // 2] ^= 1
    log.write_bytes(bytes(body))


def remove_a_line(log: Path, _: Path) -> None:
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[:20] + lines[21:]))


def rewrite_the_tail(log: Path, audit: Path) -> None:
    """Tell another count in the last delivery, and sign all that follows as the coordinator."""
    signer = KeyFile.open(audit / "keys" / "coordinator.pem", "three_brands/coordinator")
    key = VerifierKey(signer.name, LOG_KEY, signer.public_key)
    read = [read_line(line) for line in log.read_bytes().splitlines()]
    last = max(
        at
        for at, line in enumerate(read)
        if isinstance(line, EntryLine)
        and isinstance(e.decode_entry(line.leaf), e.AudienceDelivered)
    )
    tree, body, origin = MerkleTree(), b"", ""
    for at, line in enumerate(read):
        if isinstance(line, EntryLine):
            entry = e.decode_entry(line.leaf)
            if isinstance(entry, e.LogOpened):
                origin = entry.origin
            if at == last:
                entry = entry.model_copy(update={"added": "10,000,000 or more"})
            leaf = e.encode_entry(entry)
            tree.append(leaf)
            head = notes.Checkpoint(origin, tree.size, tree.root())
            body += entry_line(leaf, notes.sign_text(head, signer))
        elif isinstance(line, CheckpointLine):
            head = notes.Checkpoint(origin, tree.size, tree.root())
            own = notes.signature_line(key, notes.sign_text(head, signer))
            body += checkpoint_line(notes.note(head, [own, *notes.read_note(line.note)[1][1:]]))
    log.write_bytes(body)


@pytest.mark.parametrize(
    ("tamper", "words"),
    [
        (flip, "entry "),
        (remove_a_line, "entry "),
        (rewrite_the_tail, "the counter-signature of three_brands/fashion does not match"),
    ],
)
def test_a_tampered_log_does_not_verify(
    audit: Path, tamper: Callable[[Path, Path], None], words: str
) -> None:
    log = log_of(audit, "repurchase")
    tamper(log, audit)
    with pytest.raises(AuditError, match=words):
        verify(log)

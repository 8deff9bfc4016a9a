"""`fed-audience consent certificate`, `erase` and `due`."""

from __future__ import annotations

from pathlib import Path

import pytest

from fed_audience import cli
from tests.cli.conftest import Fail
from tests.jobs.small_federation import AS_OF, SmallFederation

REFUSED = (
    "update int_consent_ledger set status = 'withdrawn'"
    " where subject_id = 'ant007' and purpose = 'train'"
)


def said(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    with pytest.raises(SystemExit) as left:
        cli.main([str(one) for one in arguments])
    shown = capsys.readouterr()
    assert left.value.code == 0, shown.err
    return shown.out + shown.err


def test_a_certificate_is_issued_and_verified(
    trained: SmallFederation, capsys: pytest.CaptureFixture[str], fail: Fail, tmp_path: Path
) -> None:
    file, at = tmp_path / "ant007.json", ("--config", trained.config)
    trained.execute("ant", REFUSED)
    issue = ("consent", "certificate", "ant007", "--site", "ant", "--as-of", AS_OF, *at)
    printed = said(capsys, *issue)
    assert "open: repurchase version" in printed
    assert said(capsys, *issue, "--out", file).startswith(f"{file}: signed by ant")
    verify = ("consent", "certificate", "--verify", file, *at)
    assert said(capsys, *verify) == "signed by ant on 2026-06-01, unchanged; 1 points were open\n"
    key = said(capsys, "identity", "show", "ant", *at).split()[1]
    assert said(capsys, *verify, "--key", key).startswith("signed by ant")
    assert "ant007" not in file.read_text()
    other = said(capsys, "identity", "show", "bee", *at).split()[1]
    code, why = fail(*verify, "--key", other)
    assert (code, "is not signed by ant" in why) == (13, True), why
    code, why = fail("consent", "certificate", "ant008", "--verify", file, *at)
    assert (code, "about somebody else" in why) == (13, True), why
    file.write_text(file.read_text().replace('"open": [', '"open": ["done", '))
    code, why = fail(*verify)
    assert (code, "changed after it was signed" in why) == (13, True), why


def test_what_is_due_is_shown_and_refused(
    trained: SmallFederation, capsys: pytest.CaptureFixture[str], fail: Fail
) -> None:
    due = ("consent", "due", "--config", trained.config, "--as-of")
    assert "No model that is in use" in said(capsys, *due, AS_OF)
    trained.execute("ant", REFUSED)
    assert "retraining is due 2026-06-30" in said(capsys, *due, AS_OF)
    assert "retraining is OVERDUE" in said(capsys, *due, "2026-08-01")
    trained.edit("minimum_rows: 50", "minimum_rows: 50\nwithdrawal: {overdue: refuse}")
    code, why = fail(*due, "2026-08-01")
    assert (code, "repurchase at ant" in why) == (5, True), why


def test_erasing_says_what_is_left_to_do(
    trained: SmallFederation, capsys: pytest.CaptureFixture[str], fail: Fail
) -> None:
    erase = ("consent", "erase", "ant007", "--config", trained.config)
    code, why = fail(*erase)
    assert (code, "which brand?" in why) == (2, True), why
    done = said(capsys, *erase, "--site", "ant", "--as-of", AS_OF)
    assert "ant: erased as " in done
    assert "delete the person from the brand's own tables" in done
    assert "ant007" not in done

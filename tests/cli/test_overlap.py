"""`fed-audience overlap`, as it is typed where one federation.yml holds both brands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fed_audience import cli
from tests.cli.conftest import Fail
from tests.jobs.overlap_brands import AS_OF, COMMON, SALT, Pair

WHEN = ("--as-of", AS_OF)


def say(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    with pytest.raises(SystemExit) as left:
        cli.main(["overlap", *(str(part) for part in arguments)])
    out, err = capsys.readouterr()
    assert left.value.code == 0, err
    return out


@pytest.fixture
def both(pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose federation.yml leads to both brands' projects."""
    (tmp_path / "federation.yml").write_text(
        "name: both\nsites:\n"
        f"  - {{name: fashion, project: {pair.fashion.folder / 'project'}}}\n"
        f"  - {{name: grocery, project: {pair.grocery.folder / 'project'}}}\n"
        "overlap: {purpose: share_partner}\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FED_AUDIENCE_OVERLAP_SALT", SALT.get_secret_value())
    return tmp_path


def test_four_commands_tell_both_brands(both: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = say(capsys, "start", "fashion", "grocery", *WHEN)
    assert "1,125 people who consent to share_partner, sent as 1,200 points; query 1 of 4" in said
    assert "overlap answer fashion-to-grocery.question" in said
    said = say(capsys, "answer", "fashion-to-grocery.question", *WHEN, "--processes", 1)
    assert "overlap finish fashion-to-grocery.answer" in said
    said = say(capsys, "finish", "fashion-to-grocery.answer")
    assert said.startswith("fashion and grocery have about ")
    assert "within 35 in 95 of 100 queries" in said
    assert "overlap read fashion-to-grocery.count" in said
    said = say(capsys, "read", "fashion-to-grocery.count", "--json")
    count = json.loads(said)["released"]["count"]
    assert abs(count - COMMON) <= 290


def test_few_in_common_are_told_as_few(
    both: Path, pair: Pair, capsys: pytest.CaptureFixture[str]
) -> None:
    pair.grocery.execute("update int_contact_details set email = 'other' || trim(email)")
    say(capsys, "start", "fashion", "grocery", *WHEN, "--out", "q.question")
    say(capsys, "answer", "q.question", *WHEN, "--out", "elsewhere.answer")
    said = say(capsys, "finish", "elsewhere.answer", "--out", "q.count")
    assert said.startswith("fashion and grocery have fewer than 50 in common\n")
    assert say(capsys, "read", "q.count").startswith("grocery and fashion have fewer than 50")


def test_a_brand_shows_its_public_key(both: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = say(capsys, "key", "fashion")
    assert line.startswith("both/fashion+")
    assert line in (both / "audit" / "keys" / "trusted.keys").read_text()


def test_a_month_without_queries_ends_with_the_code_of_a_budget(both: Path, fail: Fail) -> None:
    text = (
        (both / "federation.yml").read_text().replace("partner}", "partner, queries_per_month: 1}")
    )
    (both / "federation.yml").write_text(text)
    with pytest.raises(SystemExit):
        cli.main(["overlap", "start", "fashion", "grocery", *WHEN])
    code, said = fail("overlap", "start", "fashion", "grocery", *WHEN, "--out", "another")
    assert code == 15
    assert "no query with grocery left" in said
    assert not (both / "another").exists()


@pytest.mark.parametrize(
    ("arguments", "expected", "words"),
    [
        (("start", "fashion", "fashion"), 2, "a brand is not compared with itself"),
        (("start", "fashoin", "grocery"), 2, "no such brand of its own; value: fashoin"),
        (
            ("start", "fashion", "grocery", "--out", "federation.yml/q"),
            11,
            "cannot be written there",
        ),
        (("answer", "federation.yml"), 4, "the file is no recording"),
        (("finish", "nowhere.answer"), 4, "the recording cannot be read"),
        (("read", "nowhere.count"), 4, "the recording cannot be read"),
        (("start", "fashion", "grocery", "--as-of", "2026-06-09"), 5, "too old"),
    ],
)
def test_mistakes_are_one_line_each(
    both: Path, fail: Fail, arguments: tuple[object, ...], expected: int, words: str
) -> None:
    code, said = fail("overlap", *arguments)
    assert code == expected
    assert words in said


def test_without_the_salt_nothing_is_asked(
    both: Path, fail: Fail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FED_AUDIENCE_OVERLAP_SALT")
    code, said = fail("overlap", "start", "fashion", "grocery", *WHEN)
    assert code == 3
    assert "secret FED_AUDIENCE_OVERLAP_SALT is not set" in said
    monkeypatch.setenv("FED_AUDIENCE_OVERLAP_SALT", "short")
    code, said = fail("overlap", "start", "fashion", "grocery", *WHEN)
    assert code == 8
    assert "a salt of 5 bytes" in said
    assert not (both / "overlap").exists()

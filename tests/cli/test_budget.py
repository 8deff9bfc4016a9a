"""`fed-audience budget`, as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fed_audience import cli
from fed_audience.privacy.budget import BudgetBook, Charge
from fed_audience.privacy.dp.accounting import epsilon_of
from tests.cli.conftest import Fail
from tests.jobs.small_federation import SmallFederation


def say(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    with pytest.raises(SystemExit) as left:
        cli.main([str(part) for part in arguments])
    assert left.value.code == 0
    return capsys.readouterr().out


def test_a_limit_is_set_where_the_federation_keeps_its_book_and_shown(
    small_federation: SmallFederation, capsys: pytest.CaptureFixture[str]
) -> None:
    config = ("--config", small_federation.config)
    assert "No data set has a limit" in say(capsys, "budget", *config)
    said = say(capsys, "budget", "ant", "--epsilon", 1, "--delta", 1e-6, *config)
    assert said.startswith("ant: epsilon 0 of 1 spent at delta 1e-06")
    book = BudgetBook(small_federation.folder / "budget.sqlite")
    book.charge(Charge("ant", "run 7", "trees", 0.1, 1e-6))
    said = say(capsys, "budget", *config)
    assert f"ant: epsilon {epsilon_of(0.1, 1e-6):.4g} of 1 spent" in said
    assert "run 7" in said
    assert book.head in said


def test_json_tells_limit_spent_left_and_each_charge(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    book = BudgetBook(tmp_path / "book.sqlite")
    book.limit("ant", 2.0, 1e-6)
    book.charge(Charge("ant", "run 7", "trees", 0.1, 1e-6))
    book.limit("bee", 1.0, 1e-6)
    found = json.loads(say(capsys, "budget", "--book", book.path, "--json"))
    assert found["head"] == book.head
    ant, bee = found["data_sets"]
    assert ant["limit"]["epsilon"] == 2.0
    assert ant["spent"]["mu"] == pytest.approx(0.1)
    assert ant["left"]["epsilon"] == pytest.approx(book.balance("ant").epsilon_left)
    assert ant["charges"] == [
        {"data_set": "ant", "run_id": "run 7", "purpose": "trees", "mu": 0.1, "delta": 1e-6}
    ]
    assert bee["charges"] == []
    (only,) = json.loads(say(capsys, "budget", "cat", "--book", book.path, "--json"))["data_sets"]
    assert only["limit"] is None
    assert "cat: no limit set" in say(capsys, "budget", "cat", "--book", book.path)


@pytest.mark.parametrize(
    "arguments", [("--epsilon", 1), ("ant", "--epsilon", 1), ("ant", "--delta", 1)]
)
def test_half_a_limit_is_a_usage_error(
    fail: Fail, tmp_path: Path, arguments: tuple[object, ...]
) -> None:
    code, said = fail("budget", *arguments, "--book", tmp_path / "book.sqlite")
    assert code == 2
    assert "a limit has a data set, an epsilon and a delta" in said
    assert not (tmp_path / "book.sqlite").exists()


def test_a_damaged_book_ends_with_its_own_exit_code(fail: Fail, tmp_path: Path) -> None:
    (tmp_path / "book.sqlite").touch()
    code, said = fail("budget", "--book", tmp_path / "book.sqlite")
    assert code == 15
    assert "not to be believed: it is empty" in said


def test_the_key_of_the_book_is_named_when_it_is_misspelt(
    fail: Fail, small_federation: SmallFederation
) -> None:
    small_federation.edit("minimum_seeds: 20", "minimum_seeds: 20\nbudgetbook: x.sqlite")
    code, said = fail("budget", "--config", small_federation.config)
    assert code == 3
    assert "did you mean 'budget_book'" in said

"""`fed-audience model`: what it shows of a file, and how it ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fed_audience import cli
from fed_audience.gbdt.models.model import Model, to_text
from tests.cli.conftest import Fail
from tests.gbdt.models.test_model import MODEL

Show = Callable[..., str]
CLASSES = replace(
    MODEL,
    trees=MODEL.trees * 3,
    base_scores=(0.1, 0.2),
    objective="multiclass num_class:2",
)


@pytest.fixture
def show(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Show:
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments: object) -> str:
        with pytest.raises(SystemExit) as left:
            cli.main(["model", *map(str, arguments)])
        assert left.value.code in {0, None}
        return capsys.readouterr().out

    return call


def write(path: Path, model: Model = MODEL, **options: str) -> Path:
    path.write_text(to_text(model, **options), encoding="utf-8")  # type: ignore[arg-type]
    return path


@pytest.mark.parametrize(
    ("cover", "said"),
    [("none", "no counts, gains"), ("coarse", "roughly what share"), ("full", "with care")],
)
def test_inspect_says_what_the_file_tells_of_its_rows(
    show: Show, tmp_path: Path, cover: str, said: str
) -> None:
    shown = show("inspect", write(tmp_path / "model.txt", cover=cover))
    assert f"cover  {cover}: " in shown
    assert said in shown
    assert ("12.5" if cover == "full" else "not told") in shown


def test_inspect_says_what_noise_promised(show: Show, tmp_path: Path) -> None:
    promised = '{"delta": 1e-06, "epsilon": 1.0}'
    noisy = replace(MODEL, privacy=promised)
    assert f"privacy  {promised}" in show("inspect", write(tmp_path / "noisy.txt", noisy))
    assert "the file promises none" in show("inspect", write(tmp_path / "plain.txt"))


def test_inspect_shows_the_trees_of_each_class(show: Show, tmp_path: Path) -> None:
    shown = show("inspect", write(tmp_path / "model.txt", CLASSES))
    assert "6 trees (3 a class)" in shown
    assert "class  leaves of each of 2 classes, 0: 12, 1: 3" in shown


def test_a_name_with_markup_is_shown_as_it_is(show: Show, tmp_path: Path) -> None:
    path = tmp_path / "model.txt"
    text = to_text(MODEL).replace("recency_days", "[/red]xdays")
    path.write_text(text, encoding="utf-8")
    assert "[/red]xdays" in show("inspect", path)
    assert "[/red]xdays" in show("explain", path)


def test_explain_ranks_features_and_draws_one(show: Show, tmp_path: Path) -> None:
    path = write(tmp_path / "model.txt", cover="full")
    lines = show("explain", path).splitlines()
    assert lines[0] == "model.txt  mean score (log odds)"
    assert [line.split()[0] for line in lines[2:]] == ["länd", "recency_days", "constant"]
    shown = " ".join(show("explain", path, "--feature", "recency_days").split())
    # Hessians 50 : 10 below the left branch, 30 : 10 below the right one.
    assert f"up to 1930.5 {-1.5 - 0.05 + 0.015:+.4f}" in shown
    assert f"above 1930.5 {-1.5 + 0.1125 + 0.015:+.4f}" in shown
    assert "missing" in shown
    assert "number of leaves" not in shown


def test_explain_lists_categories_by_code(show: Show, tmp_path: Path) -> None:
    shown = show("explain", write(tmp_path / "model.txt"), "--feature", "länd")
    assert "20 codes between" in shown
    assert "missing or unknown" in shown


def test_explain_says_when_the_file_tells_no_cover(show: Show, tmp_path: Path) -> None:
    path = write(tmp_path / "model.txt")
    for more in ((), ("--feature", "constant")):
        assert "branches are weighed by their number of leaves" in show("explain", path, *more)


def test_explain_takes_a_class(show: Show, tmp_path: Path, fail: Fail) -> None:
    path = write(tmp_path / "model.txt", CLASSES)
    assert "score before softmax), class 1 of 2" in show("explain", path, "--class", 1)
    code, said = fail("model", "explain", path, "--class", 2)
    assert code == 2
    assert "no such class; value: 2; allowed: 0 to 1" in said


def test_explain_names_the_features_there_are(tmp_path: Path, fail: Fail) -> None:
    code, said = fail("model", "explain", write(tmp_path / "model.txt"), "--feature", "age")
    assert code == 2
    assert "value: age; allowed: recency_days, länd, constant" in said


def test_diff_of_a_model_with_itself(show: Show, tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt")
    assert "The models are the same to the byte." in show("diff", path, path)
    other = write(tmp_path / "b.txt", cover="full")
    assert "The models are the same in every score" in show("diff", path, other)


def test_diff_shows_where_models_part_and_ends_with_12(
    tmp_path: Path, fail: Fail, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    tree = replace(MODEL.trees[0], leaf_values=(-0.1, 0.2, 0.05, 0.5))
    one = write(tmp_path / "a.txt")
    other = write(tmp_path / "b.txt", replace(MODEL, trees=(tree, tree)))
    with pytest.raises(SystemExit) as left:
        cli.main(["model", "diff", str(one), str(other)])
    assert left.value.code == 12
    said = capsys.readouterr()
    assert "fed-audience: the models differ; looked in: " in said.err
    rows = [line.split("  ") for line in said.out.splitlines()]
    table = {row[0].strip(): [cell.strip() for cell in row[1:] if cell.strip()] for row in rows}
    assert table["tree 0, RR"] == ["leaf -1.2", "leaf -1.0"]
    assert table["largest leaf difference, tree 0, RR"] == ["-1.2", "-1.0"]
    assert table["equal trees from the first on"] == ["0"]
    assert fail("model", "diff", one, other)[0] == 12


def test_diff_refuses_an_unsound_file(tmp_path: Path, fail: Fail) -> None:
    broken = tmp_path / "broken.txt"
    broken.write_text("tree\n", encoding="utf-8")
    assert fail("model", "diff", write(tmp_path / "a.txt"), broken)[0] == 9
    assert fail("model", "diff", write(tmp_path / "a.txt"), tmp_path / "absent.txt")[0] == 4

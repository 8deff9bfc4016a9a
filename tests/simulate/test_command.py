"""What the user sees: tables, plain words, one line for every mistake."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from fed_audience.cli.model import check, inspect
from fed_audience.cli.simulate import simulate
from fed_audience.errors import DataError, FedAudienceError, ModelFormatError, UsageError
from fed_audience.simulate.learners import Learners
from fed_audience.simulate.problem import read_problem
from tests.simulate.conftest import customers

if TYPE_CHECKING:
    from pathlib import Path

    from tests.simulate.conftest import MakeSettings

app = typer.Typer()
app.command()(simulate)
app.command()(check)
app.command()(inspect)


def call(*arguments: object) -> str:
    """Run a command; its own errors pass through, as they do to the real entry point."""
    result = CliRunner(env={"COLUMNS": "80"}).invoke(app, [str(part) for part in arguments])
    if isinstance(result.exception, FedAudienceError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


SMALL = ("--label", "bought", "--trees", 10, "--depth", 3, "--threads", 1)


def test_a_propensity_simulation_in_plain_words(settings: MakeSettings, tmp_path: Path) -> None:
    out = tmp_path / "result.json"
    text = call("simulate", settings().path, *SMALL, "--site-column", "brand", "--json", out)
    result: dict[str, Any] = json.loads(out.read_text())
    assert "1,200 rows, 3 features, 3 sites (column brand)" in text
    assert f"{result['auc']['federated']:.4f}" in text
    assert "Federated and pooled model are equal to the byte" in text
    for site in result["per_site"]:
        assert site["name"] in text
        assert f"{site['delta']:+.4f} ±" in text
    assert str(out) in text.replace("\n", "")
    assert "Next: find look-alikes of fashion's positives" in text
    assert max(map(len, text.split("\n"))) <= 80


def test_masks_change_nothing_but_who_can_read_the_sums(
    settings: MakeSettings, tmp_path: Path
) -> None:
    found = []
    for flags in ((), ("--no-secure",)):
        out = tmp_path / "result.json"
        path = settings().path
        text = call("simulate", path, *SMALL, "--site-column", "brand", *flags, "--json", out)
        found.append(json.loads(out.read_text()))
        assert found[-1]["privacy"]["sentences"][0].split(":")[0] in text.replace("\n", " ")
    masked, plain = found
    assert masked["model_sha256"] == plain["model_sha256"]
    said = {name: value for name, value in masked["privacy"].items() if value is not None}
    assert said == {
        "secure_sum": True,
        "sites": 3,
        "training_sites": 3,
        "overrides": [],
        "sentences": ["sums over 3 sites under masks; trees over 3"],
    }
    assert plain["privacy"]["secure_sum"] is False


def test_two_sites_are_told_what_they_see_of_each_other(
    settings: MakeSettings, tmp_path: Path
) -> None:
    out = tmp_path / "result.json"
    call("simulate", settings().path, *SMALL, "--sites", 2, "--json", out)
    privacy = json.loads(out.read_text())["privacy"]
    assert privacy["overrides"] == ["two_sites"]
    assert "of two sites each knows its own numbers" in privacy["sentences"][1]


def test_sites_cut_at_random_are_called_alike(settings: MakeSettings) -> None:
    text = call("simulate", settings().path, *SMALL, "--sites", 2, "--drop", "brand, visits")
    assert "2 features, 2 sites (iid)" in text
    assert "cut at random, so they are alike" in text
    assert "note: positive label: bought = 'yes'" in text


def test_features_are_explained_from_the_sums_of_all_sites(
    settings: MakeSettings, tmp_path: Path
) -> None:
    out = tmp_path / "result.json"
    path = settings().path
    text = call("simulate", path, *SMALL, "--site-column", "brand", "--explain", "--json", out)
    found = json.loads(out.read_text())["mean_shap"]
    first, last = next(iter(found)), list(found)[-1]
    assert last == "visits", "which decides nothing"
    assert list(found.values()) == sorted(found.values(), reverse=True)
    assert set(found) == {"spend", "channel", "visits"}
    (line,) = (row for row in text.split("\n") if row.startswith(f" {first}") and "█" in row)
    assert f"{found[first]:.4f}" in line
    assert line.count("█") == 30


def test_the_time_over_a_link_is_told_in_words(settings: MakeSettings) -> None:
    path = settings().path
    flags = ("--site-column", "brand", "--rtt-ms", 50)
    text = " ".join(call("simulate", path, *SMALL, *flags).split())
    assert "Between machines at 50 ms and 100 Mbit/s this training would take" in text
    assert "fewer rounds would shorten it" in text
    with pytest.raises(UsageError, match="--mbps belongs to --rtt-ms"):
        call("simulate", path, *SMALL, "--mbps", 10)


def test_objectives_options_and_brands_by_their_flags(settings: MakeSettings) -> None:
    flags = ("--objective", "poisson", "--weight", "spend", "--param", "lambda_l1=0.5")
    table = customers()
    table["spend"] = np.nan_to_num(table["spend"], nan=1.0) + 0.1
    path = settings(table).path
    text = call(
        *("simulate", path, "--label", "visits", "--trees", 5, "--depth", 3, "--threads", 1),
        *("--site-column", "brand", "--compare", "--drop", "bought", *flags),
    )
    assert "visits is a number (poisson)" in text
    assert "deviance on each site's own test rows, lower is better" in text
    assert "+ own trees" in text


def test_a_lookalike_shows_its_yardsticks(settings: MakeSettings) -> None:
    seeds = ("--task", "lookalike", "--seed-site", "fashion", "--site-column", "brand")
    text = call("simulate", settings().path, *SMALL, *seeds)
    assert "Lookalike of the positives of fashion" in text
    assert "vs everyone" in text
    assert "3 of 3" in text
    assert "is a rank, not a probability" in text
    assert "warning: " in text


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (("--site-column", "brand", "--sites", 2), "give one or the other"),
        (("--site-column", "brand", "--split", "time"), "give one or the other"),
        (("--test", "t.csv", "--test-fraction", 0.5), "give one or the other"),
        (("--json", "no/such/folder/x.json"), "folder for --json does not exist"),
        (("--task", "churn"), "unknown --task"),
    ],
)
def test_flags_that_contradict_each_other(
    settings: MakeSettings, flags: tuple[object, ...], complaint: str
) -> None:
    with pytest.raises(UsageError, match=complaint):
        call("simulate", settings().path, *SMALL, *flags)


def test_a_failed_simulation_writes_nothing(settings: MakeSettings, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="did you mean 'bought'"):
        call("simulate", settings().path, "--label", "bougth", "--json", tmp_path / "x.json")
    assert not list(tmp_path.glob("*.json*"))


def test_square_brackets_in_names_are_shown_as_they_are(settings: MakeSettings) -> None:
    table = customers()
    table["brand"] = np.where(table["brand"] == "travel", "[red]travel[/]", table["brand"])
    text = call("simulate", settings(table).path, *SMALL, "--site-column", "brand")
    assert "[red]travel[/]" in text


@pytest.fixture
def model_file(settings: MakeSettings, tmp_path: Path) -> Path:
    chosen = settings()
    problem = read_problem(chosen)
    rows = np.arange(problem.rows)
    result = Learners(problem, chosen).federated({"all": rows}, rows).result
    assert result is not None
    path = tmp_path / "model.txt"
    path.write_text(result.model_text, encoding="utf-8")
    return path


def test_a_sound_model_is_called_sound(model_file: Path) -> None:
    text = call("check", model_file)
    assert "sound, 10 trees" in text
    assert sha256(model_file.read_bytes()).hexdigest() in text


def test_inspecting_shows_features_by_use_and_what_the_file_tells(model_file: Path) -> None:
    text = call("inspect", model_file)
    lines = [line.split() for line in text.split("\n")]
    splits = {line[0]: int(line[2]) for line in lines if len(line) > 3 and line[1] == "number"}
    assert splits["spend"] > splits.get("visits", 0)
    assert ["channel", "category"] in [line[:2] for line in lines]
    assert "not told" in text


def test_a_broken_model_is_refused(model_file: Path) -> None:
    model_file.write_text(model_file.read_text().replace("num_leaves=", "num_leaves=9", 1))
    with pytest.raises(ModelFormatError, match="line 15"):
        call("check", model_file)
    model_file.write_bytes(b"\xff\xfe")
    with pytest.raises(ModelFormatError, match="not UTF-8"):
        call("inspect", model_file)
    with pytest.raises(DataError, match="cannot be read"):
        call("check", model_file.with_name("none.txt"))

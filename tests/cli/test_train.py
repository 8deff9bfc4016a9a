"""`fed-audience train`: what it registers, and the file it may save beside."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fed_audience import cli
from fed_audience.gbdt.models.cover_levels import told_cover
from fed_audience.gbdt.models.reader import read_model
from tests.cli.conftest import Fail
from tests.jobs.small_federation import AS_OF, BRANDS, SmallFederation


@pytest.mark.parametrize("cover", ["none", "coarse", "full"])
def test_the_shared_model_is_saved_at_the_cover_asked_for(
    small_federation: SmallFederation, tmp_path: Path, cover: str
) -> None:
    saved = tmp_path / "deep" / "model.txt"
    options = ["--config", str(small_federation.config), "--as-of", AS_OF]
    with pytest.raises(SystemExit) as left:
        cli.main(["train", "repurchase", "--save", str(saved), "--cover", cover, *options])
    assert left.value.code == 0
    assert told_cover(read_model(saved.read_text()).trees) == cover
    assert list(saved.parent.iterdir()) == [saved]


def test_a_place_or_cover_that_cannot_be_is_refused_before_the_work(
    small_federation: SmallFederation, fail: Fail, tmp_path: Path
) -> None:
    config = ["--config", str(small_federation.config)]
    code, said = fail("train", "repurchase", "--save", tmp_path, *config)
    assert (code, "it is a folder" in said) == (11, True), said
    code, said = fail("train", "repurchase", "--cover", "some", *config)
    assert (code, "unknown --cover" in said) == (2, True), said
    assert small_federation.requests() == {"ant": "pending", "bee": "pending"}


PUBLIC = (
    "--public-range=f_spend=0:300",
    "--public-range=f_visits=0:20",
    "--public-categories=f_channel=email|paid",
)


def test_noise_asked_for_on_the_command_line_is_in_the_result(
    small_federation: SmallFederation, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = ["--config", str(small_federation.config)]
    for brand in BRANDS:
        with pytest.raises(SystemExit) as left:
            cli.main(["budget", brand, "--epsilon", "4", "--delta", "1e-4", *config])
        assert left.value.code == 0
    result, saved = tmp_path / "deep" / "result.json", tmp_path / "model.txt"
    flags = ["--epsilon", "3", "--delta", "1e-4", "--passes", "2", *PUBLIC]
    places = ["--json", str(result), "--save", str(saved)]
    with pytest.raises(SystemExit) as left:
        cli.main(["train", "repurchase", *flags, *places, "--as-of", AS_OF, *config])
    assert left.value.code == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "is (3, 0.0001)-private for one row at one site" in said
    document = json.loads(result.read_text())
    assert (document["privacy"]["epsilon"], document["trees"]) == (3.0, 6)
    assert document["metrics"]["privacy"] == document["privacy"]
    assert json.loads(read_model(saved.read_text()).privacy or "") == document["privacy"]


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--delta", "1e-4"], "--delta belongs to an epsilon"),
        (["--epsilon", "0"], "epsilon promises nothing"),
        (["--epsilon", "1", "--passes", "0"], "passes"),
        (["--epsilon", "1", "--public-range", "f_spend=9:1"], "f_spend"),
        (["--epsilon", "1", "--public-range", "f_spend"], "not COLUMN=LOW:HIGH"),
    ],
)
def test_flags_of_noise_that_make_no_sense_are_refused(
    small_federation: SmallFederation, fail: Fail, flags: list[str], complaint: str
) -> None:
    config = ["--config", str(small_federation.config)]
    code, said = fail("train", "repurchase", *flags, *config)
    assert (code, complaint in said) == (2, True), said
    assert small_federation.requests() == {"ant": "pending", "bee": "pending"}


def test_a_run_that_the_budget_does_not_allow_ends_with_a_code_of_its_own(
    small_federation: SmallFederation, fail: Fail
) -> None:
    flags = ["--epsilon", "3", "--delta", "1e-4", *PUBLIC, "--as-of", AS_OF]
    code, said = fail("train", "repurchase", *flags, "--config", small_federation.config)
    assert (code, "may spend" in said) == (15, True), said
    assert small_federation.requests() == {"ant": "pending", "bee": "pending"}

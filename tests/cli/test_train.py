"""`fed-audience train`: what it registers, and the file it may save beside."""

from __future__ import annotations

from pathlib import Path

import pytest

from fed_audience import cli
from fed_audience.gbdt.cover_levels import told_cover
from fed_audience.gbdt.reader import read_model
from tests.cli.conftest import Fail
from tests.jobs.small_federation import AS_OF, SmallFederation


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

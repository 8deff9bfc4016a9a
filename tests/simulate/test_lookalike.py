"""Seeds of one brand rank the customers of others almost as their own labels would."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from fed_audience.errors import DataError
from fed_audience.simulate.run import simulate
from fed_audience.simulate.settings import SimulationSettings
from tests.simulate.adult import BLANK_AT_WOMEN, write_brands
from tests.simulate.conftest import customers

if TYPE_CHECKING:
    from pathlib import Path

    from tests.simulate.conftest import MakeSettings


@pytest.mark.slow
@pytest.mark.parametrize("seed_site", ["young_men", "older_men"])
def test_adult_cut_by_age_and_sex_stays_near_its_ceiling(
    shared_data: Path, tmp_path: Path, seed_site: str
) -> None:
    path = write_brands(shared_data, tmp_path / "adult.csv")
    outcome = simulate(
        SimulationSettings(
            path,
            "income",
            positive=">50K",
            site_column="brand",
            task="lookalike",
            seed_site=seed_site,
            threads=1,
        )
    )
    assert outcome.rows == 48_842
    assert outcome.lookalike is not None
    targets = {target.name: target for target in outcome.lookalike.targets}
    assert len(targets) == 2
    for target in targets.values():
        assert target.auc is not None
        assert target.auc_own_labels is not None
        assert target.auc_seeds_against_everyone is not None
        assert target.auc_own_labels - target.auc <= 0.03
        assert target.auc > target.auc_seeds_against_everyone + 0.05
        assert target.gap == pytest.approx(target.auc_own_labels - target.auc)
        assert target.lift_at_5_percent is not None
        assert target.lift_at_5_percent > 2
    assert {*BLANK_AT_WOMEN, "relationship"} <= set(targets["women"].features_left_out)
    others = next(target for name, target in targets.items() if name != "women")
    assert "capital_gain" in others.features_used, "what one brand lacks costs no other brand"
    assert any("told from the seed brand's" in text for text in outcome.warnings)


def test_labels_of_targets_are_hidden_from_the_lookalike(settings: MakeSettings) -> None:
    chosen = {"site_column": "brand", "task": "lookalike", "seed_site": "fashion"}
    table = customers()
    outcome = simulate(settings(table, **chosen))
    flipped = np.where(table["bought"] == "yes", "no", "yes")
    elsewhere = table["brand"] != "fashion"
    table["bought"] = np.where(elsewhere, flipped, table["bought"])
    reverse = simulate(settings(table, **chosen))
    assert outcome.lookalike is not None
    assert reverse.lookalike is not None
    for a, b in zip(outcome.lookalike.targets, reverse.lookalike.targets, strict=True):
        assert a.model_sha256 == b.model_sha256
        assert a.auc is not None
        assert b.auc == pytest.approx(1 - a.auc)
        assert a.auc_at_seed_site == b.auc_at_seed_site
    assert outcome.lookalike.seeds == reverse.lookalike.seeds
    assert any("fewer than the 1,000" in text for text in outcome.warnings)
    assert outcome.lookalike.targets[0].brand_auc == pytest.approx(0.5, abs=0.12)


def test_a_seed_site_without_seeds_is_refused(settings: MakeSettings) -> None:
    table = customers()
    table["bought"] = np.where(table["brand"] == "travel", "no", table["bought"])
    with pytest.raises(DataError, match="needs seeds and other customers"):
        simulate(settings(table, site_column="brand", task="lookalike", seed_site="travel"))

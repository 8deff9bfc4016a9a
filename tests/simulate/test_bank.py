"""The hard public case: Bank Marketing in four blocks of time, without the leaking column."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from fed_audience.gbdt.evaluation import auc
from fed_audience.simulate.learners import Learners
from fed_audience.simulate.problem import read_problem
from fed_audience.simulate.run import simulate
from fed_audience.simulate.settings import SimulationSettings
from fed_audience.simulate.splitting import deal

if TYPE_CHECKING:
    from pathlib import Path


def bank(data: Path, *, trees: int = 100, seed: int = 0) -> SimulationSettings:
    return SimulationSettings(
        data / "bank_additional_full.csv.gz",
        "y",
        positive="yes",
        drop=("duration",),
        sites=4,
        split="time",
        threads=1,
        trees=trees,
        seed=seed,
    )


def test_four_blocks_of_time_give_the_pooled_model_to_the_byte(shared_data: Path) -> None:
    outcome = simulate(bank(shared_data, trees=15))
    assert outcome.model_sha256.federated == outcome.model_sha256.pooled
    assert (outcome.rows, outcome.features) == (41_188, 19)
    assert outcome.auc is not None
    assert outcome.auc.federated is not None
    assert outcome.auc.site_average is not None
    assert outcome.auc.federated > outcome.auc.site_average + 0.05
    assert outcome.warnings == ()
    found = [(site.positives or 0) + (site.test_positives or 0) for site in outcome.per_site]
    assert sum(found) == 4_640


@pytest.mark.slow
def test_auc_stays_with_lightgbm_over_five_draws(shared_data: Path) -> None:
    differences = []
    for seed in range(5):
        chosen = bank(shared_data, seed=seed)
        problem = read_problem(chosen)
        dealt, learners = deal(problem, chosen), Learners(problem, chosen)
        rows, test = dealt.training_rows(), dealt.test_rows()
        truth = problem.labels[test]
        ours = auc(truth, learners.federated({"pooled": rows}, test).scores)
        theirs = auc(truth, learners.lightgbm(rows, test).scores)
        assert ours is not None
        assert theirs is not None
        differences.append(ours - theirs)
    assert abs(np.mean(differences)) < 0.003

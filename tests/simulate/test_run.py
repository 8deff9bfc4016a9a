"""One simulation from file to outcome, on real learners."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from fed_audience.errors import FederationError, ResourceError, UsageError
from fed_audience.gbdt.evaluation import Interval
from fed_audience.simulate import comparison as room
from fed_audience.simulate.comparison import compare, leakage_warnings, require_same_model
from fed_audience.simulate.learners import Learners
from fed_audience.simulate.outcome import Outcome, write_json
from fed_audience.simulate.problem import read_problem
from fed_audience.simulate.run import Stage, simulate
from fed_audience.simulate.splitting import deal
from tests.simulate.conftest import customers

if TYPE_CHECKING:
    from pathlib import Path

    from tests.simulate.conftest import MakeSettings


def test_the_federated_model_is_the_pooled_one_for_every_split(settings: MakeSettings) -> None:
    hashes = set()
    cuts: list[dict[str, Any]] = [
        {"sites": 1, "drop": ("brand",)},
        {"sites": 4, "split": "time", "drop": ("brand",)},
        {"sites": 3, "split": "dirichlet:0.2", "drop": ("brand",)},
        {"site_column": "brand"},
    ]
    for changes in cuts:
        outcome = simulate(settings(**changes))
        assert outcome.model_sha256.federated == outcome.model_sha256.pooled
        assert outcome.auc is not None
        assert outcome.auc.federated == outcome.auc.pooled_same_learner
        hashes.add(outcome.model_sha256.federated)
    assert len(hashes) == 1, "the same rows give the same model however they are cut"


def test_every_number_of_the_outcome(settings: MakeSettings) -> None:
    chosen = settings(site_column="brand")
    stages: list[Stage] = []
    outcome = simulate(chosen, on_stage=stages.append)
    problem = read_problem(chosen)
    dealt = deal(problem, chosen)
    compared = compare(problem, dealt, Learners(problem, chosen), lambda _: None)
    test = dealt.test_rows()
    truth = problem.labels[test]

    assert (outcome.rows, outcome.rows_train, outcome.rows_test) == (
        1_200,
        1_200 - len(test),
        len(test),
    )
    assert outcome.sites == ("fashion", "grocery", "travel")
    assert outcome.feature_names == ("spend", "visits", "channel")
    assert outcome.features == 3
    scores = compared.federated.scores
    assert outcome.auc is not None
    assert outcome.logloss is not None
    assert outcome.auc.federated == pytest.approx(roc_auc_score(truth, scores))
    assert outcome.logloss.federated == pytest.approx(log_loss(truth, 1 / (1 + np.exp(-scores))))
    mean = np.mean([m.scores for m in compared.alone.values() if m], axis=0)
    assert outcome.auc.site_average == pytest.approx(roc_auc_score(truth, mean))
    assert outcome.auc.pooled_lightgbm == pytest.approx(outcome.auc.federated, abs=0.02)
    for at, site in enumerate(outcome.per_site):
        own = dealt.site[test] == at
        alone = compared.alone[site.name]
        assert alone is not None
        assert site.rows == int(np.sum(dealt.site == at)) - site.test_rows
        assert site.test_rows == int(own.sum())
        assert site.auc_federated == pytest.approx(roc_auc_score(truth[own], scores[own]))
        assert site.auc_alone == pytest.approx(roc_auc_score(truth[own], alone.scores[own]))
        difference = roc_auc_score(truth[own], scores[own]) - (site.auc_alone or 0.0)
        assert site.delta == pytest.approx(difference)
        assert outcome.auc.site_alone[at] == pytest.approx(roc_auc_score(truth, alone.scores))
    assert outcome.rounds > 10
    assert min(outcome.bytes_up_per_site) > 1_000
    assert outcome.seconds.federated > 0
    assert outcome.lookalike is None
    assert {stage.of for stage in stages} >= {0, 10}
    assert all(stage.level_bytes > 0 for stage in stages if stage.trees)
    assert "LightGBM on the pooled rows" in {stage.text for stage in stages}


def test_the_json_has_the_promised_keys_and_is_written_whole(
    settings: MakeSettings, tmp_path: Path
) -> None:
    outcome = simulate(settings(sites=2))
    target = tmp_path / "out" / "result.json"
    target.parent.mkdir()
    write_json(outcome, target)
    written = json.loads(target.read_text())
    assert set(written) == {field.name for field in fields(Outcome)}
    assert set(written) >= {"rows", "features", "sites", "rounds", "bytes_up_per_site"}
    models = {"federated", "pooled_lightgbm", "pooled_same_learner", "site_alone", "site_average"}
    assert set(written["auc"]) == set(written["logloss"]) == models
    assert set(written["model_sha256"]) == {"federated", "pooled"}
    assert set(written["seconds"]) == {"federated", "pooled_lightgbm"}
    assert set(written["per_site"][0]) >= {
        *("name", "rows", "positives", "auc_alone", "auc_federated", "delta", "ci", "verdict")
    }
    assert [path.name for path in target.parent.iterdir()] == ["result.json"]


def test_a_result_that_cannot_be_written_leaves_nothing_behind(
    settings: MakeSettings, tmp_path: Path
) -> None:
    outcome = simulate(settings(sites=1, trees=1))
    folder = tmp_path / "result.json"
    folder.mkdir()
    with pytest.raises(ResourceError, match="nothing half-written"):
        write_json(outcome, folder)
    assert [path.name for path in tmp_path.glob("*.json*")] == ["result.json"]


def test_a_site_without_positives_or_rows_is_a_warning(settings: MakeSettings) -> None:
    table = customers()
    table["bought"] = np.where(table["brand"] == "travel", "no", table["bought"])
    table["brand"] = np.where(np.arange(1_200) == 0, "ghost", table["brand"])
    outcome = simulate(settings(table, site_column="brand"))
    sites = {site.name: site for site in outcome.per_site}
    assert sites["travel"].auc_alone is None
    assert sites["travel"].verdict is None
    assert sites["ghost"].verdict is None
    assert sites["fashion"].verdict is not None
    assert "travel: no positives to train with, so it has no model alone" in outcome.warnings
    assert outcome.auc is not None
    assert outcome.auc.site_alone[outcome.sites.index("travel")] is None
    assert any(text.startswith("ghost: ") for text in outcome.warnings)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.01, 0.03, "gains"), (-0.03, -0.01, "loses"), (-0.01, 0.01, "no difference")],
)
def test_the_verdict_is_where_the_whole_interval_lies(
    low: float, high: float, verdict: str
) -> None:
    assert room._verdict(Interval((low + high) / 2, 0.005, low, high)) == verdict


def test_a_feature_that_knows_the_answer_is_called_out(settings: MakeSettings) -> None:
    table = customers()
    table["last call, s"] = np.where(table["bought"] == "yes", 9.0, 1.0)
    table["refund"] = np.where(table["bought"] == "yes", "asked", "none")
    chosen = settings(table)
    problem = read_problem(chosen)
    dealt, learners = deal(problem, chosen), Learners(problem, chosen)
    result = learners.federated({"all": dealt.training_rows()}, dealt.test_rows()).result
    assert result is not None
    found = leakage_warnings(problem, dealt, learners, result)
    assert len(found) == 2
    assert found[0].startswith("feature 'last call, s' alone reaches AUC 1.000")
    assert found[1].startswith("feature 'refund' alone reaches AUC 1.000")


def test_a_model_that_differs_from_the_pooled_one_is_never_reported(
    settings: MakeSettings,
) -> None:
    chosen = settings(sites=2)
    problem = read_problem(chosen)
    dealt, learners = deal(problem, chosen), Learners(problem, chosen)
    one = learners.federated({"all": dealt.training_rows()}, dealt.test_rows())
    other = learners.federated({"all": dealt.training_rows()[:500]}, dealt.test_rows())
    with pytest.raises(FederationError, match="differs from the pooled one"):
        require_same_model(room.Comparison(one, other, one, {}))
    require_same_model(room.Comparison(one, one, one, {}))


def test_a_seed_site_that_is_none_is_refused_before_training(settings: MakeSettings) -> None:
    stages: list[Stage] = []
    chosen = settings(site_column="brand", task="lookalike", seed_site="fashoin")
    with pytest.raises(UsageError, match="fashion, grocery, travel"):
        simulate(chosen, on_stage=stages.append)
    assert len(stages) == 1

"""Importance by gain and by number of splits, of a model and of its text."""

from __future__ import annotations

from fed_audience.gbdt.explanation import FeatureImportance, importance
from fed_audience.gbdt.models.model import to_text
from fed_audience.gbdt.models.reader import load_booster, read_model
from tests.gbdt.models.fuzz_reader import grown
from tests.gbdt.models.test_model import MODEL


def test_gain_and_splits_are_summed_by_feature() -> None:
    assert importance(MODEL) == {
        "recency_days": FeatureImportance(12.5, 1),
        "länd": FeatureImportance(3.25, 1),
        "constant": FeatureImportance(1.0, 1),
    }


def test_a_text_tells_what_its_cover_lets_it() -> None:
    model = grown(5)
    assert importance(read_model(to_text(model, cover="full"))) == importance(model)
    told = importance(read_model(to_text(model)))
    assert [one.gain for one in told.values()] == [0.0] * 3
    assert [one.splits for one in told.values()] == [
        one.splits for one in importance(model).values()
    ]


def test_lightgbm_counts_the_same() -> None:
    booster = load_booster(to_text(grown(5), cover="full"))
    ours = importance(grown(5)).values()
    assert booster.feature_importance("split").tolist() == [one.splits for one in ours]
    assert booster.feature_importance("gain").tolist() == [one.gain for one in ours]

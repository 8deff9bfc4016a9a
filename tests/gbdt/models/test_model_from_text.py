"""A model taken back from its text: the same text, the same splits, the same scores."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fed_audience.errors import ModelFormatError
from fed_audience.gbdt.bins import Feature, NumericBins
from fed_audience.gbdt.models.model import Model, to_text
from fed_audience.gbdt.models.model_from_text import model_from_text
from tests.gbdt.models.test_model import MODEL


def taken_back(model: Model) -> Model:
    return model_from_text(to_text(model), model.features, model.bins, model.learning_rate)


@pytest.mark.parametrize(
    "model",
    [
        MODEL,
        replace(MODEL, base_scores=(0.0,)),
        replace(MODEL, trees=()),
        replace(MODEL, privacy='{"epsilon":1.0}'),
        replace(
            MODEL,
            trees=MODEL.trees * 3,
            base_scores=(0.25, -0.5, 1e-9),
            objective="multiclass num_class:3",
        ),
    ],
    ids=["binary", "without a base", "without trees", "private", "classes"],
)
def test_the_text_is_the_same_again(model: Model) -> None:
    found = taken_back(model)
    assert to_text(found) == to_text(model)
    assert [tree.left for tree in found.trees] == [tree.left for tree in model.trees]
    for tree, own in zip(found.trees, model.trees, strict=True):
        assert [replace(split, gain=0.0) for split in own.splits] == list(tree.splits)


def test_trees_are_added_to_it_as_to_the_model_itself() -> None:
    grown = replace(MODEL, trees=MODEL.trees + MODEL.trees[:1])
    found = taken_back(MODEL)
    assert to_text(replace(found, trees=found.trees + MODEL.trees[:1])) == to_text(grown)


def test_a_model_of_other_bins_is_refused() -> None:
    others = (NumericBins((0.5, 1931.5, 1e21)), *MODEL.bins[1:])
    with pytest.raises(ModelFormatError, match=r"feature 0 has no cut at 1930\.5"):
        model_from_text(to_text(MODEL), MODEL.features, others, 0.1)
    renamed = (Feature("another"), *MODEL.features[1:])
    with pytest.raises(ModelFormatError, match="it is written otherwise"):
        model_from_text(to_text(MODEL), renamed, MODEL.bins, 0.1)

"""How much each feature was used: number of splits, and their gain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fed_audience.gbdt.models.reader import ModelText

if TYPE_CHECKING:
    from fed_audience.gbdt.models.model import Model


@dataclass(frozen=True, slots=True)
class FeatureImportance:
    """Gain summed over a feature's splits, and their number, over all trees."""

    gain: float
    splits: int


def importance(model: Model | ModelText) -> dict[str, FeatureImportance]:
    """Return the importance of every feature, by name, in the model's order.

    Gains of a text that does not tell them (cover 'none' or 'coarse') are zero.
    """
    if isinstance(model, ModelText):
        names = model.features
        used = [
            pair
            for tree in model.trees
            for pair in zip(tree.split_feature, tree.split_gain, strict=True)
        ]
    else:
        names = tuple(feature.name for feature in model.features)
        used = [(split.feature, split.gain) for tree in model.trees for split in tree.splits]
    gains = [0.0] * len(names)
    splits = [0] * len(names)
    for feature, gain in used:
        gains[feature] += gain
        splits[feature] += 1
    return {name: FeatureImportance(gains[i], splits[i]) for i, name in enumerate(names)}

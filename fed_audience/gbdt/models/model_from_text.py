"""A model taken back from its text, over the bins that it was grown on."""

from __future__ import annotations

import sys
from bisect import bisect_left
from typing import TYPE_CHECKING, Final

from fed_audience.errors import ConfigError, ModelFormatError
from fed_audience.gbdt.bins import NumericBins
from fed_audience.gbdt.models.model import Model, to_text
from fed_audience.gbdt.models.reader import read_model
from fed_audience.gbdt.tree import NodeSums, Split, Tree

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fed_audience.gbdt.bins import Feature, FeatureBins
    from fed_audience.gbdt.models.reader import TreeText

_CATEGORICAL: Final = 1
_MISSING_LEFT: Final = 2
_WORD: Final = 32
_UNKNOWN: Final = NodeSums(0, 0)


def model_from_text(
    text: str, features: Sequence[Feature], bins: Sequence[FeatureBins], learning_rate: float
) -> Model:
    """Return the model that ``to_text`` wrote as ``text``, its base scores in the first leaves.

    Its scores are the same to the bit, and so is its text; sums of nodes are not in a text. Raises
    ModelFormatError for one that was grown on other bins or written by another program.
    """
    read = read_model(text)
    model = None
    try:
        trees = tuple(_tree(tree, bins) for tree in read.trees)
        base: tuple[float, ...] = (0.0,) * read.classes
        if len(trees) == read.classes and not any(tree.splits for tree in trees):
            base, trees = tuple(tree.leaf_values[0] for tree in trees), ()
        model = Model(
            tuple(features), tuple(bins), trees, base, learning_rate, read.objective, read.privacy
        )
    except (ConfigError, ValueError, IndexError) as error:
        fault = str(error)
    else:
        fault = "" if to_text(model) == text else "it is written otherwise"
    if model is None or fault:
        raise ModelFormatError(
            "the model's text does not fit the bins of its run",
            value=fault,
            fix="take text and encoder of one run; nothing was registered",
        )
    return model


def _tree(tree: TreeText, bins: Sequence[FeatureBins]) -> Tree:
    return Tree(
        splits=tuple(_split(tree, node, bins) for node in range(len(tree.split_feature))),
        left=tree.left,
        right=tree.right,
        leaf_values=tree.leaf_value,
        internal_sums=(_UNKNOWN,) * len(tree.split_feature),
        leaf_sums=(_UNKNOWN,) * tree.leaves,
    )


def _split(tree: TreeText, node: int, bins: Sequence[FeatureBins]) -> Split:
    feature, threshold = tree.split_feature[node], tree.threshold[node]
    if tree.decision_type[node] & _CATEGORICAL:
        first, end = tree.category_boundaries[int(threshold) : int(threshold) + 2]
        words = enumerate(tree.category_words[first:end])
        codes = (_WORD * at + bit for at, word in words for bit in range(_WORD) if word >> bit & 1)
        return Split(feature, 0.0, left_codes=tuple(codes))
    own = bins[feature]
    if not isinstance(own, NumericBins):
        raise ConfigError(f"a numeric split on feature {feature}, which is a category")
    missing_left = bool(tree.decision_type[node] & _MISSING_LEFT)
    if threshold == sys.float_info.max:
        return Split(feature, 0.0, own.size - 1, missing_left)
    at = bisect_left(own.thresholds, threshold)
    if at == len(own.thresholds) or own.thresholds[at] != threshold:
        raise ValueError(f"feature {feature} has no cut at {threshold!r}")
    return Split(feature, 0.0, at, missing_left)

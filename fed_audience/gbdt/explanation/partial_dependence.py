"""How the mean score moves with one feature, from the model alone.

Friedman, Greedy function approximation: a gradient boosting machine (2001), section 8.2: a split
on the feature is followed; at any other both branches are taken, weighed by their cover.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from fed_audience.errors import UsageError
from fed_audience.gbdt.models.cover_levels import from_the_root, sums_below
from fed_audience.gbdt.models.model import to_text
from fed_audience.gbdt.models.reader import ModelText, read_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from fed_audience.gbdt.models.model import Model
    from fed_audience.gbdt.models.reader import TreeText

    Floats = npt.NDArray[np.float64]
    Flags = npt.NDArray[np.bool_]

_CATEGORICAL: Final = 1
_DEFAULT_LEFT: Final = 2
_MISSING_IS_ZERO: Final = 1
_MISSING_IS_NAN: Final = 2
_NEARLY_ZERO: Final = 1e-35


@dataclass(frozen=True, slots=True)
class PartialDependence:
    """Mean raw score by value of one feature; a step function, so this is all of it.

    Numeric: ``values[k, r]`` holds from above ``borders[r - 1]`` up to and with ``borders[r]``;
    the first region begins and the last ends nowhere. Categorical: ``values[k, r]`` is that of
    code ``categories[r]``. ``missing[k]``: where the value is missing, or an unknown category.
    """

    feature: str
    borders: tuple[float, ...]
    categories: tuple[int, ...]
    values: Floats
    missing: Floats

    @property
    def effect(self) -> float:
        """Largest distance between two values of a class, missing ones left out."""
        return float(np.ptp(self.values, axis=1).max(initial=0.0)) if self.values.size else 0.0


def partial_dependence(model: Model | ModelText, feature: str) -> PartialDependence:
    """Dependence of the mean raw score on ``feature``: float64[K, regions].

    Branches are weighed by the hessian sums of a Model, or by the covers of a text: where it
    tells none (cover 'none') a branch weighs its number of leaves. A node of no weight at all
    weighs both branches alike. Raises UsageError for a name that is not a feature of the model.
    """
    if isinstance(model, ModelText):
        text = model
        weights: list[Sequence[int]] = [tree.leaf_count for tree in model.trees]
    else:
        text = read_model(to_text(model))
        weights = [[sums.hessian for sums in tree.leaf_sums] for tree in model.trees]
        weights = weights or [[1]] * model.classes
    if feature not in text.features:
        raise UsageError(
            "the model has no feature of that name",
            value=feature,
            limit=", ".join(text.features[:50]),
            fix="name one of the model's features",
        )
    index = text.features.index(feature)
    splits = [
        (decision, threshold)
        for tree in text.trees
        for used, decision, threshold in zip(
            tree.split_feature, tree.decision_type, tree.threshold, strict=True
        )
        if used == index
    ]
    info = text.feature_infos[index]
    categorical = any(decision & _CATEGORICAL for decision, _ in splits) or info[0] not in "[n"
    borders: tuple[float, ...] = ()
    categories: tuple[int, ...] = ()
    if categorical:
        categories = (
            tuple(map(int, info.split(":"))) if info != "none" else _codes_used(text.trees, index)
        )
        points = np.array([*categories, np.nan])
    else:
        cuts = {threshold for _, threshold in splits if threshold < np.finfo(np.float64).max}
        if any((decision >> 2) & 3 == _MISSING_IS_ZERO for decision, _ in splits):
            # Zero stands for missing there, so it is a region of its own.
            cuts |= {-_NEARLY_ZERO, _NEARLY_ZERO}
        borders = tuple(sorted(cuts))
        last = np.nextafter(borders[-1], np.inf) if borders else 0.0
        points = np.array([*borders, last, np.nan])
    total = np.zeros((text.classes, len(points)))
    for number, (tree, leaves) in enumerate(zip(text.trees, weights, strict=True)):
        total[number % text.classes] += _mean_value(tree, leaves, index, points)
    return PartialDependence(feature, borders, categories, total[:, :-1], total[:, -1])


def _codes_used(trees: Sequence[TreeText], feature: int) -> tuple[int, ...]:
    """Categories that some split of ``feature`` sends left."""
    words = [
        (word, 32 * place)
        for tree in trees
        for used, threshold in zip(tree.split_feature, tree.threshold, strict=True)
        if used == feature
        for place, word in enumerate(_category_words(tree, int(threshold)))
    ]
    return tuple(
        sorted({base + bit for word, base in words for bit in range(32) if word >> bit & 1})
    )


def _category_words(tree: TreeText, number: int) -> tuple[int, ...]:
    start, stop = tree.category_boundaries[number : number + 2]
    return tree.category_words[start:stop]


def _mean_value(
    tree: TreeText, leaf_weights: Sequence[int], feature: int, points: Floats
) -> Floats:
    """Mean value of ``tree`` at each point of ``feature``: float64[points]."""
    if not tree.left:
        return np.full(len(points), tree.leaf_value[0])
    below = sums_below(tree, leaf_weights)
    values: dict[int, Floats] = {}
    for node in reversed(from_the_root(tree)):
        sides, weights = [], []
        for child in (tree.left[node], tree.right[node]):
            leaf = child < 0
            sides.append(
                np.full(len(points), tree.leaf_value[-child - 1]) if leaf else values.pop(child)
            )
            weights.append(leaf_weights[-child - 1] if leaf else below[child])
        if tree.split_feature[node] == feature:
            values[node] = np.where(_goes_left(tree, node, points), sides[0], sides[1])
        else:
            share = weights[0] / sum(weights) if sum(weights) else 0.5
            values[node] = share * sides[0] + (1.0 - share) * sides[1]
    return values[0]


def _goes_left(tree: TreeText, node: int, points: Floats) -> Flags:
    """LightGBM's decision at a node; the last of ``points`` is NaN."""
    decision, threshold = tree.decision_type[node], tree.threshold[node]
    if decision & _CATEGORICAL:
        words = _category_words(tree, int(threshold))
        codes = [int(point) if point == point else -1 for point in points.tolist()]  # noqa: PLR0124 - NaN differs from itself
        return np.array(
            [0 <= c < 32 * len(words) and bool(words[c >> 5] >> (c & 31) & 1) for c in codes]
        )
    missing_is = (decision >> 2) & 3
    default = np.isnan(points)
    known = np.where(default, 0.0, points)
    if missing_is == _MISSING_IS_ZERO:
        default = np.abs(known) <= _NEARLY_ZERO
    elif missing_is != _MISSING_IS_NAN:
        default = np.zeros(len(points), np.bool_)
    return np.where(default, bool(decision & _DEFAULT_LEFT), known <= threshold)

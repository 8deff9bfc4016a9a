"""A model text compiled to score columns directly, bit-equal with LightGBM.

A number matters to a model only by which of the model's own thresholds lie below it: one byte for
each used feature, from which all trees are walked. Texts whose thresholds do not fit a byte, or
that treat zero as missing, are left to LightGBM.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import numba
import numpy as np

from fed_audience.gbdt.bins import MAX_BINS, MISSING_CODE, CategoryBins, Feature, NumericBins
from fed_audience.gbdt.bins.canonical import LARGEST
from fed_audience.gbdt.bins.encoding import Encoder
from fed_audience.gbdt.models.predictor import Predictor
from fed_audience.gbdt.models.reader import load_booster, read_model

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from fed_audience.gbdt.bins import FeatureBins
    from fed_audience.gbdt.bins.arrow_columns import Column
    from fed_audience.gbdt.models.reader import ModelText, TreeText

    Floats = NDArray[np.float64]

_CATEGORICAL: Final = 1
_DEFAULT_LEFT: Final = 2
_MISSING_IS: Final = 2  # how far the bits that say what counts as missing are shifted
_ZERO, _NAN = 1, 2
IDENTITY: Final = ("regression", "regression_l1")
EXPONENT: Final = ("poisson", "tweedie")


class ColumnPredictor(Protocol):
    """A model that takes columns as a warehouse holds them."""

    @property
    def features(self) -> tuple[Feature, ...]:
        """The features that it reads."""
        ...

    def predict(self, columns: Mapping[str, Column], key: bytes) -> Floats:
        """Return what ``lightgbm.Booster.predict`` gives: float64[n], or [n, K] of K classes.

        ``columns``: one a feature, of equal length; ``key``: the sites' category key. Raises
        DataError for a missing column or an unusable type.
        """
        ...


def column_predictor(text: str, encoder: Encoder) -> ColumnPredictor:
    """Compile ``text``, whose categories are coded by ``encoder``; LightGBM where it must be.

    Raises ModelFormatError for a text that cannot be trusted.
    """
    return _compiled(read_model(text), encoder) or _LightGbm(text, encoder)


@dataclass(frozen=True, slots=True)
class _Compiled:
    encoder: Encoder
    predictor: Predictor
    objective: str

    @property
    def features(self) -> tuple[Feature, ...]:
        return self.encoder.features

    def predict(self, columns: Mapping[str, Column], key: bytes) -> Floats:
        codes = self.encoder.encode(columns, key)
        raw = self.predictor.raw_scores(codes, threads=os.cpu_count() or 1)
        if self.objective in IDENTITY:
            return raw
        if self.objective in EXPONENT:
            _exponentials(raw)
        else:
            _logistic(raw, float(self.objective.partition("sigmoid:")[2] or 1.0))
        return raw


class _LightGbm:
    def __init__(self, text: str, encoder: Encoder) -> None:
        self._booster = load_booster(text)
        self._encoder = encoder

    @property
    def features(self) -> tuple[Feature, ...]:
        return self._encoder.features

    def predict(self, columns: Mapping[str, Column], key: bytes) -> Floats:
        found: Floats = self._booster.predict(self._encoder.to_lightgbm(columns, key))
        return found


def _compiled(model: ModelText, encoder: Encoder) -> _Compiled | None:
    if model.classes > 1 or not _splits_are_plain(model, encoder):
        return None
    cuts: dict[int, set[float]] = {}
    for tree in model.trees:
        for feature, cut in zip(tree.split_feature, tree.threshold, strict=True):
            own_cuts = cuts.setdefault(feature, set())
            # One beyond every number only tells what is there from what is missing.
            own_cuts |= {cut} if abs(cut) <= LARGEST else set()
    # A column must be there for its length, even for a model that reads none.
    used = sorted(cuts) or [0]
    bins: list[FeatureBins] = []
    for feature in used:
        own = encoder.bins[feature]
        if isinstance(own, CategoryBins):
            bins.append(own)
        elif len(cuts.get(feature, ())) < MAX_BINS:
            bins.append(NumericBins(tuple(sorted(cuts.get(feature, ())))))
        else:
            return None
    return _Compiled(
        Encoder(tuple(encoder.features[feature] for feature in used), tuple(bins)),
        _flattened(model.trees, used, bins),
        model.objective,
    )


def _splits_are_plain(model: ModelText, encoder: Encoder) -> bool:
    for tree in model.trees:
        for node, decision in enumerate(tree.decision_type):
            is_category = bool(decision & _CATEGORICAL)
            own = encoder.bins[tree.split_feature[node]]
            if is_category != isinstance(own, CategoryBins):
                return False
            if not is_category and decision >> _MISSING_IS == _ZERO:
                return False
    return True


def _flattened(trees: tuple[TreeText, ...], used: list[int], bins: list[FeatureBins]) -> Predictor:
    place = {feature: at for at, feature in enumerate(used)}
    codes = [
        {cut: code for code, cut in enumerate(one.thresholds)}
        if isinstance(one, NumericBins)
        else {}
        for one in bins
    ]
    roots: list[int] = []
    features: list[int] = []
    sets: list[int] = []
    left: list[int] = []
    right: list[int] = []
    values: list[float] = []
    first_leaves: list[int] = []
    for tree in trees:
        nodes, leaves = len(features), len(values)
        roots.append(nodes if tree.split_feature else -leaves - 1)
        first_leaves.append(leaves)
        for node, feature in enumerate(tree.split_feature):
            features.append(place[feature])
            sets.append(_left_set(tree, node, codes[place[feature]]))
        for children, mine in ((tree.left, left), (tree.right, right)):
            mine += [child + nodes if child >= 0 else child - leaves for child in children]
        values += tree.leaf_value
    words = [[(mask >> (32 * word)) & 0xFFFFFFFF for word in range(8)] for mask in sets]
    return Predictor(
        features=len(used),
        classes=1,
        roots=np.array(roots, np.int32),
        split_feature=np.array(features, np.int32),
        left_set=np.array(words, np.uint32).reshape(-1, 8),
        left=np.array(left, np.int32),
        right=np.array(right, np.int32),
        leaf_values=np.array(values, np.float64),
        first_leaves=np.array(first_leaves, np.int64),
    )


def _left_set(tree: TreeText, node: int, codes: Mapping[float, int]) -> int:
    """Return the codes that go left, one bit each, as LightGBM decides (its ``tree.h``)."""
    decision, cut = tree.decision_type[node], tree.threshold[node]
    if decision & _CATEGORICAL:
        begin, end = tree.category_boundaries[int(cut) : int(cut) + 2]
        words = tree.category_words[begin:end]
        mask = sum(word << (32 * at) for at, word in enumerate(words))
        # What is missing, rare or unseen is NaN to LightGBM, and goes right.
        return mask & ((1 << MISSING_CODE) - 1)
    if abs(cut) > LARGEST:
        mask = (1 << MISSING_CODE) - 1 if cut > 0 else 0
    else:
        mask = (1 << (codes[cut] + 1)) - 1
    # Where the text does not know missing values they count as zero.
    missing_left = bool(decision & _DEFAULT_LEFT) if decision >> _MISSING_IS == _NAN else cut >= 0.0
    return mask | (1 << MISSING_CODE if missing_left else 0)


@numba.njit(cache=True, nogil=True)
def _logistic(raw: Floats, slope: float) -> None:
    """Put raw scores through LightGBM's own link, with the C library's exp as it does."""
    for row in range(raw.size):
        raw[row] = 1.0 / (1.0 + math.exp(-slope * raw[row]))


@numba.njit(cache=True, nogil=True)
def _exponentials(raw: Floats) -> None:
    for row in range(raw.size):
        raw[row] = math.exp(raw[row])

"""The best split of a node, from summed integer histograms.

All sums are integers below 2^53, so their conversion to float is exact; gains are computed in
fixed-point units, by + - * / in one fixed order. Equal gains are decided by the lowest feature,
then the lowest bin, then missing to the right. Gain, category order and limits follow LightGBM
(Ke et al. 2017).

Monotone constraints are those of LightGBM's method ``basic``: a split of a constrained feature
must give ordered outputs, its children share the range at the mean of both outputs, and all that
descends from them stays within. Two things differ: the gain taken off is that of the node's own
output within its range (LightGBM takes the output it would have without a range, and so stops
earlier), and there is no ``monotone_penalty``. A missing value counts as larger than all others
where it goes right, smaller where it goes left, as in LightGBM.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import ceil, inf
from typing import TYPE_CHECKING, Final, NamedTuple, Self

import numpy as np

from fed_audience.errors import FederationError
from fed_audience.gbdt.kernels.node_search import CONTRADICTION, NO_SPLIT, search, search_families
from fed_audience.gbdt.kernels.team import ALONE
from fed_audience.gbdt.tree import NodeSums, Split

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fed_audience.gbdt.fixed_point import FixedPoint
    from fed_audience.gbdt.kernels.histogram import SlotLayout
    from fed_audience.gbdt.kernels.team import Team
    from fed_audience.gbdt.parameters import TrainingParameters

_LEAST_GAIN: Final = 1e-9
_NO_SIBLING: Final = np.empty((0, 2), dtype=np.int64)
_SHARED_FAMILIES: Final = 4
"""Families below which a thread searches them sooner than another takes some over."""


class OutputRange(NamedTuple):
    """Bounds of a node's output, in units of gradient over units of hessian."""

    low: float = -inf
    high: float = inf


class Found(NamedTuple):
    """The best split of a node and the sums of the rows it sends left."""

    split: Split
    left: NodeSums


@dataclass(frozen=True, slots=True)
class SplitRules:
    """The parameters of a search, in fixed-point units of one tree.

    A floor on rows is a floor on the hessian: rows of a node are estimated as its hessian times
    ``rows / root hessian``, because no count travels with a histogram. ``features``, ``integers``
    and ``reals`` are what ``node_search.search`` takes; ``widest`` is the range of the root.
    """

    min_hessian: int
    one_hot_categories: int
    lambda_l1: float
    lambda_l2: float
    cat_l2: float
    widest: OutputRange
    features: NDArray[np.int64]
    integers: NDArray[np.int64]
    reals: NDArray[np.float64]

    @classmethod
    def of_tree(
        cls,
        parameters: TrainingParameters,
        fixed: FixedPoint,
        root: NodeSums,
        rows: int,
        layout: SlotLayout,
        *,
        drawn: NDArray[np.bool_],
        monotone: NDArray[np.int8],
    ) -> Self:
        """Rules of a tree whose ``root`` sums ``rows`` rows (at least 1).

        ``drawn``: bool[F], the features it may split on; ``monotone``: int8[F], directions.
        """

        def hessian_of(data: float) -> int:
            return ceil(Fraction(data) * root.hessian / max(rows, 1))

        weight = Fraction(parameters.min_child_weight) / Fraction(fixed.hessian_unit)
        min_hessian = max(1, ceil(weight), hessian_of(parameters.min_data_in_leaf))
        step = parameters.max_delta_step * (fixed.hessian_unit / fixed.gradient_unit) or inf
        signs = np.where(layout.categorical, 0, monotone)
        shaped = parameters.lambda_l1 > 0 or step < inf or bool(signs.any())
        l1 = parameters.lambda_l1 / fixed.gradient_unit
        l2 = parameters.lambda_l2 / fixed.hessian_unit
        cat_l2 = parameters.cat_l2 / fixed.hessian_unit
        return cls(
            min_hessian=min_hessian,
            one_hot_categories=parameters.max_cat_to_onehot,
            lambda_l1=l1,
            lambda_l2=l2,
            cat_l2=cat_l2,
            widest=OutputRange(-step, step),
            features=np.stack([layout.sizes, layout.categorical, drawn, signs], axis=1),
            integers=np.array(
                [
                    min_hessian,
                    hessian_of(parameters.min_data_per_group),
                    hessian_of(parameters.cat_smooth),
                    parameters.max_cat_threshold,
                    parameters.max_cat_to_onehot,
                    shaped,
                ],
                dtype=np.int64,
            ),
            reals=np.array(
                [
                    l1,
                    l2,
                    cat_l2,
                    parameters.cat_smooth / fixed.hessian_unit,
                    fixed.gradient_unit * fixed.gradient_unit / fixed.hessian_unit,
                    max(parameters.min_gain_to_split, _LEAST_GAIN),
                ]
            ),
        )

    def can_split(self, sums: NodeSums) -> bool:
        """Whether a node is heavy enough for two children."""
        return sums.hessian >= 2 * self.min_hessian

    def leaf_l2(self, split: Split, layout: SlotLayout) -> float:
        """L2 of the children of ``split``, in units: ordered categories carry ``cat_l2`` too."""
        ordered = split.categorical and layout.sizes[split.feature] > self.one_hot_categories
        return self.lambda_l2 + self.cat_l2 if ordered else self.lambda_l2

    def output(self, sums: NodeSums, l2: float, bounds: OutputRange) -> float:
        """Output of a leaf, in units: -G / (H + l2), G shrunk by L1, within ``bounds``."""
        weight = sums.hessian + l2
        if weight <= 0:
            return 0.0
        shrunk = max(sums.gradient - self.lambda_l1, 0.0) + min(sums.gradient + self.lambda_l1, 0.0)
        return min(max(-shrunk / weight, bounds.low), bounds.high)

    def child_ranges(
        self, found: Found, total: NodeSums, bounds: OutputRange
    ) -> tuple[OutputRange, OutputRange]:
        """Ranges of the left and the right child of a node that is split as ``found``."""
        sign = int(self.features[found.split.feature, 3])
        if sign == 0:
            return bounds, bounds
        left = self.output(found.left, self.lambda_l2, bounds)
        middle = (left + self.output(total - found.left, self.lambda_l2, bounds)) / 2
        below, above = OutputRange(bounds.low, middle), OutputRange(middle, bounds.high)
        return (below, above) if sign > 0 else (above, below)


class Child(NamedTuple):
    """A node to search: its sums, the range of its output, and whether it may be split at all."""

    sums: NodeSums
    bounds: OutputRange
    may_split: bool = True


class Family(NamedTuple):
    """Two siblings: what is left of their parent's histogram, and the one that was built.

    ``parent``: place in the pool of the parent's histogram, which becomes the derived child's.
    ``keep``: where the built one is kept, or NO_PLACE.
    """

    parent: int
    keep: int
    derived: Child
    built: Child


def find_split(
    histogram: NDArray[np.int64],
    node: Child,
    layout: SlotLayout,
    rules: SplitRules,
) -> Found | None:
    """Find the best split of a node, or None where none gains enough.

    ``histogram``: int64[slots, 2] summed over all sites. A node without missing values sends later
    ones to its heavier child (left when equal). Raises FederationError when the slots of a feature
    do not add up to the node's sums.
    """
    left = np.zeros(256, dtype=np.uint8)
    gain, *found = search(
        histogram,
        _NO_SIBLING,
        layout.offsets,
        rules.features,
        rules.integers,
        rules.reals,
        node.sums.gradient,
        node.sums.hessian,
        *node.bounds,
        left,
    )
    return _found(gain, found, left)


def find_splits(
    pool: NDArray[np.int64],
    built: NDArray[np.int64],
    families: Sequence[Family],
    layout: SlotLayout,
    rules: SplitRules,
    team: Team = ALONE,
) -> list[tuple[Found | None, Found | None]]:
    """Find the best splits of the derived and the built child of each family.

    ``pool``: int64[P, slots, 2], changed in place; ``built``: int64[K, slots, 2]. A family is
    searched by one kernel call with others, without the interpreter. Raises as ``find_split``.
    """
    count = len(families)
    pairs = [(family.derived, family.built) for family in families]
    places = np.array([(family.parent, family.keep) for family in families], dtype=np.int64)
    children = np.array(
        [[(c.may_split, c.sums.gradient, c.sums.hessian) for c in pair] for pair in pairs],
        dtype=np.int64,
    )
    ranges = np.array([[child.bounds for child in pair] for pair in pairs])
    gains = np.zeros((count, 2))
    found = np.empty((count, 2, 5), dtype=np.int64)
    left = np.zeros((count, 2, 256), dtype=np.uint8)

    def job(part: tuple[int, int]) -> None:
        search_families(
            pool, built, places, children, ranges, layout.offsets, rules.features, rules.integers,
            rules.reals, *part, gains, found, left,
        )  # fmt: skip

    shares = team.threads if count >= _SHARED_FAMILIES else 1
    team.map(job, pairwise(count * share // shares for share in range(shares + 1)))
    return [
        (_found(gain[0], one[0], codes[0]), _found(gain[1], one[1], codes[1]))
        for gain, one, codes in zip(gains.tolist(), found.tolist(), left, strict=True)
    ]


def _found(gain: float, found: Sequence[int], left: NDArray[np.uint8]) -> Found | None:
    """Read what the kernel writes: feature, bin, side of missing, sums on the left."""
    feature, bin_, missing_left, gradient, hessian = found
    if feature == NO_SPLIT:
        return None
    if feature <= CONTRADICTION:
        raise FederationError(
            f"the summed histogram of feature {CONTRADICTION - feature} contradicts the sums of "
            "its node",
            fix="find the site whose rows or bins changed during the run, then run again",
        )
    codes = tuple(left.nonzero()[0].tolist()) if bin_ < 0 else ()
    return Found(Split(feature, gain, bin_, bool(missing_left), codes), NodeSums(gradient, hessian))

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
from math import ceil, inf
from typing import TYPE_CHECKING, Final, NamedTuple, Self

import numpy as np
from numba import njit

from fed_audience.errors import FederationError
from fed_audience.gbdt.candidates import (
    Grouping,
    Terms,
    best_numeric,
    best_ordered,
    best_single,
    gain_of,
    running_sums,
)
from fed_audience.gbdt.tree import NodeSums, Split

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fed_audience.gbdt.fixed_point import FixedPoint
    from fed_audience.gbdt.histogram import SlotLayout
    from fed_audience.gbdt.parameters import TrainingParameters

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]
    Codes = NDArray[np.uint8]

_LEAST_GAIN: Final = 1e-9


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
    ``rows / root hessian``, because no count travels with a histogram. ``used``: bool[F], features
    drawn for the tree; ``monotone``: int8[F], order that a feature demands of outputs.
    """

    min_hessian: int
    group_hessian: int
    smooth_hessian: int
    most_categories: int
    one_hot_categories: int
    lambda_l1: float
    lambda_l2: float
    cat_l2: float
    cat_smooth: float
    gain_unit: float
    min_gain: float
    shaped: bool
    widest: OutputRange
    used: NDArray[np.bool_]
    monotone: NDArray[np.int8]

    @classmethod
    def of_tree(
        cls,
        parameters: TrainingParameters,
        fixed: FixedPoint,
        root: NodeSums,
        rows: int,
        *,
        used: NDArray[np.bool_],
        monotone: NDArray[np.int8],
    ) -> Self:
        """Rules of a tree whose ``root`` sums ``rows`` rows (at least 1)."""

        def hessian_of(data: float) -> int:
            return ceil(Fraction(data) * root.hessian / max(rows, 1))

        weight = Fraction(parameters.min_child_weight) / Fraction(fixed.hessian_unit)
        step = parameters.max_delta_step * (fixed.hessian_unit / fixed.gradient_unit) or inf
        return cls(
            min_hessian=max(1, ceil(weight), hessian_of(parameters.min_data_in_leaf)),
            group_hessian=hessian_of(parameters.min_data_per_group),
            smooth_hessian=hessian_of(parameters.cat_smooth),
            most_categories=parameters.max_cat_threshold,
            one_hot_categories=parameters.max_cat_to_onehot,
            lambda_l1=parameters.lambda_l1 / fixed.gradient_unit,
            lambda_l2=parameters.lambda_l2 / fixed.hessian_unit,
            cat_l2=parameters.cat_l2 / fixed.hessian_unit,
            cat_smooth=parameters.cat_smooth / fixed.hessian_unit,
            gain_unit=fixed.gradient_unit * fixed.gradient_unit / fixed.hessian_unit,
            min_gain=max(parameters.min_gain_to_split, _LEAST_GAIN),
            shaped=parameters.lambda_l1 > 0 or step < inf or bool(monotone.any()),
            widest=OutputRange(-step, step),
            used=used,
            monotone=monotone,
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
        sign = 0 if found.split.categorical else int(self.monotone[found.split.feature])
        if sign == 0:
            return bounds, bounds
        left = self.output(found.left, self.lambda_l2, bounds)
        middle = (left + self.output(total - found.left, self.lambda_l2, bounds)) / 2
        below, above = OutputRange(bounds.low, middle), OutputRange(middle, bounds.high)
        return (below, above) if sign > 0 else (above, below)


@njit(nogil=True, cache=True)
def _all_sums(sums: Integers, sibling: Integers) -> tuple[int, int]:
    """Take a ``sibling`` that is not empty off ``sums``; return what they add up to."""
    g = np.int64(0)
    h = np.int64(0)
    for b in range(sums.shape[0]):
        if sibling.shape[0] > 0:
            sums[b, 0] -= sibling[b, 0]
            sums[b, 1] -= sibling[b, 1]
        g += sums[b, 0]
        h += sums[b, 1]
    return g, h


@njit(nogil=True, cache=True, error_model="numpy")
def _find(  # noqa: PLR0913, PLR0917 - one pass over the features of a node
    histogram: Integers,
    sibling: Integers,
    offsets: Integers,
    sizes: Integers,
    categorical: NDArray[np.bool_],
    used: NDArray[np.bool_],
    monotone: NDArray[np.int8],
    shaped: bool,  # noqa: FBT001 - kernels take arguments by position
    integers: tuple[int, int, int, int, int, int, int],
    reals: tuple[float, float, float, float, float, float, float, float],
    left: Codes,
) -> tuple[float, int, int, bool]:
    """Find gain, feature, bin and side of missing; ``left`` receives a categorical left set.

    Feature -1: no split. Feature -2 - f: the slots of feature f do not add up to the total. A
    ``sibling`` that is not empty is first taken off, in place, feature by feature while in cache.
    """
    total_g, total_h, least, group_h, smooth_h, most, one_hot = integers
    l1, l2, cat_l2, smooth, gain_unit, min_gain, low, high = reals
    scratch = np.empty((3, 256), np.float64)
    order = np.empty(256, np.int64)
    grouping = Grouping(smooth, smooth_h, group_h, most)
    free = Terms(shaped, float(least), l1, l2, low, high, 0.0)
    many = Terms(shaped, float(least), l1, l2 + cat_l2, low, high, 0.0)
    G = float(total_g)
    H = float(total_h)
    parent = gain_of(G, H + l2, free) if H + l2 > 0 else 0.0
    best = min_gain
    highest = -np.inf
    found = -1
    found_bin = -1
    found_missing_left = False
    derived = sibling.shape[0] > 0
    for feature in range(sizes.size):
        if not used[feature]:
            continue
        size = sizes[feature]
        sums = histogram[offsets[feature] : offsets[feature + 1]]
        rest = sibling[offsets[feature] : offsets[feature + 1]] if derived else sibling
        if categorical[feature]:
            g, h = _all_sums(sums, rest)
        else:
            g, h = running_sums(sums, size, rest, scratch)
        if g != total_g or h != total_h:
            return 0.0, -2 - feature, -1, False
        if size == 0:
            continue
        taken = 0
        missing_left = False
        if not categorical[feature]:
            terms = Terms(shaped, float(least), l1, l2, low, high, float(monotone[feature]))
            raw, where, missing_left = best_numeric(sums[size], size, G, H, terms, highest, scratch)
        elif size <= one_hot:
            raw, taken = best_single(sums, size, G, H, free, order)
            where = taken - 1
        else:
            raw, taken = best_ordered(sums, size, G, H, many, grouping, order)
            where = taken - 1
        gain = (raw - parent) * gain_unit
        if where >= 0 and gain > best:
            best = gain
            highest = raw
            found = feature
            found_bin = where
            found_missing_left = missing_left
            left[:] = 0
            for i in range(taken):
                left[order[i]] = 1
    return best, found, found_bin, found_missing_left


@njit(nogil=True, cache=True)
def _sum_of(sums: Integers, left: Codes) -> tuple[int, int]:
    """Sum the slots of one feature that ``left`` marks with 1."""
    g = 0
    h = 0
    for b in range(sums.shape[0]):
        if left[b] == 1:
            g += sums[b, 0]
            h += sums[b, 1]
    return g, h


NO_SIBLING: Final = np.empty((0, 2), dtype=np.int64)


def find_split(
    histogram: NDArray[np.int64],
    total: NodeSums,
    layout: SlotLayout,
    rules: SplitRules,
    bounds: OutputRange | None = None,
    *,
    sibling: NDArray[np.int64] = NO_SIBLING,
) -> Found | None:
    """Find the best split of a node, or None where none gains enough.

    ``histogram``: int64[slots, 2] summed over all sites; ``total``: the node's sums; ``bounds``:
    range of its output. With a ``sibling`` the histogram is that of their parent, and becomes the
    node's in place. A node without missing values sends later ones to its heavier child (left
    when equal). Raises FederationError when the slots of a feature do not add up to ``total``.
    """
    low, high = bounds or rules.widest
    left = np.zeros(256, dtype=np.uint8)
    gain, feature, bin_, missing_left = _find(
        histogram,
        sibling,
        layout.offsets,
        layout.sizes,
        layout.categorical,
        rules.used,
        rules.monotone,
        rules.shaped,
        (
            total.gradient,
            total.hessian,
            rules.min_hessian,
            rules.group_hessian,
            rules.smooth_hessian,
            rules.most_categories,
            rules.one_hot_categories,
        ),
        (
            rules.lambda_l1,
            rules.lambda_l2,
            rules.cat_l2,
            rules.cat_smooth,
            rules.gain_unit,
            rules.min_gain,
            low,
            high,
        ),
        left,
    )
    if feature == -1:
        return None
    if feature < 0:
        raise FederationError(
            f"the summed histogram of feature {-2 - feature} contradicts the sums of its node",
            fix="find the site whose rows or bins changed during the run, then run again",
        )
    sums = histogram[layout.offsets[feature] : layout.offsets[feature + 1]]
    if layout.categorical[feature]:
        codes = tuple(np.flatnonzero(left).tolist())
        return Found(Split(feature, gain, left_codes=codes), NodeSums(*_sum_of(sums, left)))
    left[: bin_ + 1] = 1
    left[len(sums) - 1] = missing_left
    sent = NodeSums(*_sum_of(sums, left))
    if not sums[-1].any():
        missing_left = 2 * sent.hessian >= total.hessian
    return Found(Split(feature, gain, bin_, missing_left=missing_left), sent)

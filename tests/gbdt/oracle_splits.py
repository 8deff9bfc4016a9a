"""The best split of a node by trying every candidate there is, in real numbers.

Units are powers of two, so that real sums are exact and every rounding falls as it does in units:
gains come out equal to the last bit without a word about scales.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil, inf
from typing import TYPE_CHECKING

from fed_audience.gbdt.bins import CategoryBins, FeatureBins
from fed_audience.gbdt.tree import Split

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fed_audience.gbdt.fixed_point import FixedPoint
    from fed_audience.gbdt.parameters import TrainingParameters

Sums = tuple[int, int]
Range = tuple[float, float]


def total(parts: Sequence[Sums]) -> Sums:
    return sum(g for g, _ in parts), sum(h for _, h in parts)


@dataclass
class Rules:
    """The parameters, and what depends on the whole tree: its units, floors, constraints."""

    parameters: TrainingParameters
    fixed: FixedPoint
    rows_per_unit: Fraction
    signs: Sequence[int]
    drawn: Sequence[bool]

    @property
    def shaped(self) -> bool:
        p = self.parameters
        return p.lambda_l1 > 0 or p.max_delta_step > 0 or any(self.signs)

    @property
    def widest(self) -> Range:
        step = self.parameters.max_delta_step or inf
        return -step, step

    def real(self, sums: Sums) -> tuple[float, float]:
        return sums[0] * self.fixed.gradient_unit, sums[1] * self.fixed.hessian_unit

    def rows(self, count: float) -> int:
        """Least hessian, in units, that stands for so many rows."""
        return ceil(Fraction(count) / self.rows_per_unit)

    @property
    def least(self) -> int:
        weight = Fraction(self.parameters.min_child_weight) / Fraction(self.fixed.hessian_unit)
        return max(1, ceil(weight), self.rows(self.parameters.min_data_in_leaf))

    def shrunk(self, g: float) -> float:
        l1 = self.parameters.lambda_l1
        if g > l1:
            return g - l1
        return g + l1 if g < -l1 else 0.0

    def output(self, sums: Sums, l2: float, bounds: Range) -> float:
        g, h = self.real(sums)
        wanted = -(self.shrunk(g) / (h + l2))
        return min(max(wanted, bounds[0]), bounds[1])

    def gain(self, sums: Sums, l2: float, bounds: Range) -> float:
        """What a leaf of this output takes off the loss, twice."""
        g, h = self.real(sums)
        if not self.shaped:
            return g * g / (h + l2)
        t, v = self.shrunk(g), self.output(sums, l2, bounds)
        return -(2.0 * t * v + (h + l2) * v * v)

    def pair_gain(self, left: Sums, right: Sums, l2: float, bounds: Range) -> float:
        if self.shaped:
            return self.gain(left, l2, bounds) + self.gain(right, l2, bounds)
        (gl, hl), (gr, hr) = self.real(left), self.real(right)
        dl, dr = hl + l2, hr + l2
        return (gl * gl * dr + gr * gr * dl) / (dl * dr)

    def many(self, bins: FeatureBins) -> bool:
        return isinstance(bins, CategoryBins) and bins.size > self.parameters.max_cat_to_onehot


def numeric_candidates(sums: list[Sums]) -> Iterator[tuple[Split, Sums]]:
    present, missing = sums[:-1], sums[-1]
    for b in range(len(present)):
        left = total(present[: b + 1])
        yield Split(0, 0.0, b), left
        if missing != (0, 0) and b < len(present) - 1:
            with_missing = left[0] + missing[0], left[1] + missing[1]
            yield Split(0, 0.0, b, missing_left=True), with_missing


def category_candidates(
    sums: list[Sums], whole: Sums, rules: Rules
) -> Iterator[tuple[Split, Sums]]:
    present, p = sums[:-1], rules.parameters
    if len(present) <= p.max_cat_to_onehot:
        for b, left in enumerate(present):
            yield Split(0, 0.0, left_codes=(b,)), left
        return
    enough, group_least = rules.rows(p.cat_smooth), rules.rows(p.min_data_per_group)

    def key(b: int) -> tuple[float, int]:
        g, h = rules.real(present[b])
        return g / (h + p.cat_smooth), b

    usable = [b for b, (_, h) in enumerate(present) if h >= enough and h > 0]
    ordered = sorted(usable, key=key)
    for order in (ordered, ordered[::-1]):
        group = 0
        for taken in range(1, min(p.max_cat_threshold, (len(ordered) + 1) // 2) + 1):
            left = total([present[b] for b in order[:taken]])
            group += present[order[taken - 1]][1]
            if left[1] < rules.least:
                continue
            if whole[1] - left[1] < max(rules.least, group_least):
                break
            if group < group_least:
                continue
            group = 0
            yield Split(0, 0.0, left_codes=tuple(sorted(order[:taken]))), left


def best_split(
    node: list[list[Sums]], bins: Sequence[FeatureBins], rules: Rules, bounds: Range
) -> tuple[Split, Sums] | None:
    p = rules.parameters
    whole = total(node[0])
    parent = rules.gain(whole, p.lambda_l2, bounds)
    best_gain, best = max(p.min_gain_to_split, 1e-9), None
    for feature, (sums, feature_bins) in enumerate(zip(node, bins, strict=True)):
        if not rules.drawn[feature]:
            continue
        sign = 0
        if isinstance(feature_bins, CategoryBins):
            candidates = category_candidates(sums, whole, rules)
        else:
            candidates = numeric_candidates(sums)
            sign = rules.signs[feature]
        l2 = p.lambda_l2 + p.cat_l2 if rules.many(feature_bins) else p.lambda_l2
        for split, left in candidates:
            right = whole[0] - left[0], whole[1] - left[1]
            if left[1] < rules.least or right[1] < rules.least:
                continue
            rise = rules.output(right, l2, bounds) - rules.output(left, l2, bounds)
            if rise * sign < 0:
                continue
            gain = rules.pair_gain(left, right, l2, bounds) - parent
            if gain > best_gain:
                side = split.missing_left
                if not split.categorical and sums[-1] == (0, 0):
                    side = 2 * left[1] >= whole[1]
                best_gain = gain
                best = Split(feature, gain, split.bin, side, split.left_codes), left
    return best

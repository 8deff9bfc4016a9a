"""A learner that is slow and obviously right, to hold the fast one against.

One row at a time, Python integers, every candidate split spelled out. It shares with the learner
only the sigmoid, which has tests of its own, and the nouns (bins, splits, trees).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor
from typing import TYPE_CHECKING

import numpy as np

from fed_audience.gbdt.arithmetic import sigmoids
from fed_audience.gbdt.bins import MISSING_CODE, CategoryBins, FeatureBins
from fed_audience.gbdt.tree import NodeSums, Split, Tree

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from fed_audience.gbdt.parameters import TrainingParameters

Sums = tuple[int, int]


def fixed_point(
    scores: NDArray[np.float64], labels: NDArray[np.float64], scale: int
) -> tuple[list[int], list[int]]:
    gradients, hessians = [], []
    for p, y in zip(sigmoids(scores).tolist(), labels.tolist(), strict=True):
        gradients.append(floor((p - y) * scale + 0.5))
        hessians.append(max(1, floor(p * (1.0 - p) * scale + 0.5)))
    return gradients, hessians


def histogram(
    codes: NDArray[np.uint8],
    rows: Sequence[int],
    gradients: Sequence[int],
    hessians: Sequence[int],
    bins: Sequence[FeatureBins],
) -> list[list[Sums]]:
    """Per feature: sums of each bin, then of the missing."""
    result = []
    for feature, feature_bins in enumerate(bins):
        sums = [[0, 0] for _ in range(feature_bins.size + 1)]
        for row in rows:
            code = int(codes[row, feature])
            cell = sums[feature_bins.size if code == MISSING_CODE else code]
            cell[0] += gradients[row]
            cell[1] += hessians[row]
        result.append([(g, h) for g, h in sums])
    return result


@dataclass
class Floors:
    least: int
    group: int
    smooth: int

    @classmethod
    def of(cls, parameters: TrainingParameters, scale: int, root_h: int, rows: int) -> Floors:
        def rows_to_h(count: float) -> int:
            return ceil(Fraction(count) * root_h / rows)

        child = ceil(Fraction(parameters.min_child_weight) * scale)
        return cls(
            max(1, child, rows_to_h(parameters.min_data_in_leaf)),
            rows_to_h(100),
            rows_to_h(parameters.cat_smooth),
        )


def total(parts: Sequence[Sums]) -> Sums:
    return sum(g for g, _ in parts), sum(h for _, h in parts)


def numeric_candidates(sums: list[Sums]) -> Iterator[tuple[Split, Sums]]:
    present, missing = sums[:-1], sums[-1]
    for b in range(len(present)):
        left = total(present[: b + 1])
        yield Split(0, 0.0, b), left
        if missing != (0, 0) and b < len(present) - 1:
            with_missing = left[0] + missing[0], left[1] + missing[1]
            yield Split(0, 0.0, b, missing_left=True), with_missing


def category_candidates(
    sums: list[Sums], whole: Sums, floors: Floors, smooth: float
) -> Iterator[tuple[Split, Sums]]:
    present = sums[:-1]
    if len(present) <= 4:
        for b, left in enumerate(present):
            yield Split(0, 0.0, left_codes=(b,)), left
        return
    usable = [b for b, (_, h) in enumerate(present) if h >= floors.smooth and h > 0]
    ordered = sorted(usable, key=lambda b: (present[b][0] / (present[b][1] + smooth), b))
    for order in (ordered, ordered[::-1]):
        group = 0
        for taken in range(1, min(32, (len(ordered) + 1) // 2) + 1):
            left = total([present[b] for b in order[:taken]])
            group += present[order[taken - 1]][1]
            if left[1] < floors.least:
                continue
            if whole[1] - left[1] < max(floors.least, floors.group):
                break
            if group < floors.group:
                continue
            group = 0
            yield Split(0, 0.0, left_codes=tuple(sorted(order[:taken]))), left


def best_split(
    node: list[list[Sums]],
    bins: Sequence[FeatureBins],
    parameters: TrainingParameters,
    scale: int,
    floors: Floors,
) -> tuple[Split, Sums] | None:
    whole = total(node[0])
    g_all, h_all = float(whole[0]), float(whole[1])
    l2 = parameters.lambda_l2 * scale
    parent = g_all * g_all / (h_all + l2)
    best_gain, best = max(parameters.min_gain_to_split, 1e-9), None
    for feature, (sums, feature_bins) in enumerate(zip(node, bins, strict=True)):
        weight = l2
        if isinstance(feature_bins, CategoryBins):
            smooth = parameters.cat_smooth * scale
            candidates = category_candidates(sums, whole, floors, smooth)
            if feature_bins.size > 4:
                weight = l2 + parameters.cat_l2 * scale
        else:
            candidates = numeric_candidates(sums)
        for split, (g, h) in candidates:
            if h < floors.least or whole[1] - h < floors.least:
                continue
            gl, hl = float(g), float(h)
            gr, hr = g_all - gl, h_all - hl
            dl, dr = hl + weight, hr + weight
            gain = ((gl * gl * dr + gr * gr * dl) / (dl * dr) - parent) / scale
            if gain > best_gain:
                side = split.missing_left
                if not split.categorical and sums[-1] == (0, 0):
                    side = 2 * h >= whole[1]
                best_gain = gain
                best = (
                    Split(feature, gain, split.bin, side, split.left_codes),
                    (g, h),
                )
    return best


def goes_left(split: Split, code: int) -> bool:
    if split.categorical:
        return code in split.left_codes
    return split.missing_left if code == MISSING_CODE else code <= split.bin


@dataclass
class Node:
    rows: list[int]
    depth: int
    sums: Sums
    l2: float


def grow_tree(
    codes: NDArray[np.uint8],
    gradients: Sequence[int],
    hessians: Sequence[int],
    bins: Sequence[FeatureBins],
    parameters: TrainingParameters,
    scale: int,
) -> tuple[Tree, dict[int, list[int]]]:
    """The tree, and the rows of each leaf (by position in ``leaf_values``)."""
    count = len(gradients)
    root = (sum(gradients), sum(hessians))
    floors = Floors.of(parameters, scale, root[1], count)
    nodes = [Node(list(range(count)), 0, root, parameters.lambda_l2)]
    done: list[tuple[int, Split, int, int]] = []
    level = [0]
    while level:
        found = []
        for number in level:
            node = nodes[number]
            if node.depth == parameters.max_depth or node.sums[1] < 2 * floors.least:
                continue
            sums = histogram(codes, node.rows, gradients, hessians, bins)
            best = best_split(sums, bins, parameters, scale, floors)
            if best:
                found.append((number, *best))
        found.sort(key=lambda item: (-item[1].gain, item[0]))
        chosen = sorted(found[: parameters.num_leaves - 1 - len(done)], key=lambda item: item[0])
        level = []
        for number, split, left in chosen:
            node = nodes[number]
            many = split.categorical and bins[split.feature].size > 4
            l2 = parameters.lambda_l2 + (parameters.cat_l2 if many else 0.0)
            sides = {
                side: [
                    r for r in node.rows if goes_left(split, int(codes[r, split.feature])) is side
                ]
                for side in (True, False)
            }
            right = (node.sums[0] - left[0], node.sums[1] - left[1])
            done.append((number, split, len(nodes), len(nodes) + 1))
            level += [len(nodes), len(nodes) + 1]
            nodes.append(Node(sides[True], node.depth + 1, left, l2))
            nodes.append(Node(sides[False], node.depth + 1, right, l2))
    place = {number: index for index, (number, *_) in enumerate(done)}
    leaves = [number for number in range(len(nodes)) if number not in place]
    place |= {number: -index - 1 for index, number in enumerate(leaves)}
    values = []
    for number in leaves:
        (g, h), l2 = nodes[number].sums, nodes[number].l2
        values.append(-parameters.learning_rate * (g / (h + l2 * scale)))
    tree = Tree(
        splits=tuple(split for _, split, _, _ in done),
        left=tuple(place[left] for _, _, left, _ in done),
        right=tuple(place[right] for *_, right in done),
        leaf_values=tuple(values),
        internal_sums=tuple(NodeSums(*nodes[number].sums) for number, *_ in done),
        leaf_sums=tuple(NodeSums(*nodes[number].sums) for number in leaves),
    )
    return tree, {index: nodes[number].rows for index, number in enumerate(leaves)}


def boost(
    codes: NDArray[np.uint8],
    labels: NDArray[np.float64],
    bins: Sequence[FeatureBins],
    parameters: TrainingParameters,
    base_score: float,
    scale: int,
) -> list[Tree]:
    """All trees, without validation rows."""
    scores = np.full(len(labels), base_score)
    trees = []
    for _ in range(parameters.n_estimators):
        gradients, hessians = fixed_point(scores, labels, scale)
        tree, leaf_rows = grow_tree(codes, gradients, hessians, bins, parameters, scale)
        if not tree.splits:
            break
        trees.append(tree)
        for leaf, rows in leaf_rows.items():
            for row in rows:
                scores[row] += tree.leaf_values[leaf]
    return trees

"""Bins, splits and trees as the arrays of a message, and back, with every index checked."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from fed_audience.errors import FederationError
from fed_audience.gbdt.bins import MAX_BINS, MISSING_CODE, CategoryBins, NumericBins
from fed_audience.gbdt.tree import NodeSums, Split, Tree

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from fed_audience.federation.messages import (
        FixBins,
        FixNoisyBins,
        GrowLevel,
        StartTree,
        TreeClosing,
        WholeModel,
    )
    from fed_audience.gbdt.bins import Feature, FeatureBins
    from fed_audience.gbdt.growing.grower import NodeSplit

_SET_BYTES: Final = 32
_PREFIX_BOUND: Final = 2**24
_UNKNOWN: Final = NodeSums(0, 0)


def bins_to_arrays(bins: Sequence[FeatureBins]) -> dict[str, Any]:
    """Fields ``sizes``, ``thresholds`` and ``prefixes`` of a FixBins message."""
    numeric = [b.thresholds for b in bins if isinstance(b, NumericBins)]
    prefixes = [b.prefixes for b in bins if isinstance(b, CategoryBins)]
    return {
        "sizes": tuple(
            len(b.thresholds) if isinstance(b, NumericBins) else len(b.prefixes) for b in bins
        ),
        "thresholds": np.array([cut for cuts in numeric for cut in cuts], dtype=np.float64),
        "prefixes": np.array([code for codes in prefixes for code in codes], dtype=np.uint32),
    }


def bins_from_message(
    message: FixBins | FixNoisyBins, features: Sequence[Feature]
) -> tuple[FeatureBins, ...]:
    """Read the bins of ``features`` back. Raises FederationError when they are not bins."""
    if len(message.sizes) != len(features):
        raise _malformed("there are bins for another number of features")
    bins: list[FeatureBins] = []
    cut = code = 0
    for feature, size in zip(features, message.sizes, strict=True):
        if feature.categorical:
            prefixes = message.prefixes[code : code + size]
            code += size
            distinct = len(np.unique(prefixes)) == size
            if size > MAX_BINS or not distinct or (prefixes >= _PREFIX_BOUND).any():
                raise _malformed("category prefixes are repeated, too many or out of range")
            bins.append(CategoryBins(tuple(int(prefix) for prefix in prefixes)))
        else:
            cuts = message.thresholds[cut : cut + size]
            cut += size
            if size >= MAX_BINS or not np.isfinite(cuts).all() or (np.diff(cuts) <= 0).any():
                raise _malformed("thresholds are not ascending, too many or not finite")
            bins.append(NumericBins(tuple(float(value) for value in cuts)))
    if code != len(message.prefixes) or cut != len(message.thresholds):
        raise _malformed("there are more cuts than the sizes say")
    return tuple(bins)


def splits_to_arrays(splits: Sequence[Sequence[NodeSplit]]) -> dict[str, Any]:
    """Fields ``split_nodes``, ``split_rules`` and ``left_codes``; ``splits[c]`` are of class c."""
    nodes = [
        (class_, done.node, done.left, done.right)
        for class_, of_class in enumerate(splits)
        for done in of_class
    ]
    return {
        "split_nodes": np.array(nodes, dtype=np.int32).reshape(-1, 4),
        **_rules_to_arrays([done.split for of_class in splits for done in of_class]),
    }


def splits_from_message(
    message: GrowLevel | TreeClosing, bins: Sequence[FeatureBins], classes: int
) -> tuple[dict[int, tuple[Split, int, int]], ...]:
    """Read node -> (split, left, right) of each class.

    Raises FederationError when a rule fits no bin.
    """
    rules = _rules_from_arrays(message.split_rules, message.left_codes, bins)
    nodes = message.split_nodes
    if nodes.shape != (len(rules), 4) or (nodes < 0).any() or (nodes[:, 0] >= classes).any():
        raise _malformed("nodes and rules do not match")
    of_class: tuple[dict[int, tuple[Split, int, int]], ...] = tuple({} for _ in range(classes))
    made: set[tuple[int, int]] = set()
    for rule, (class_, node, left, right) in zip(rules, nodes.tolist(), strict=True):
        of_class[class_][node] = (rule, left, right)
        made |= {(class_, left), (class_, right)}
    if sum(map(len, of_class)) != len(rules) or len(made) != 2 * len(rules):
        raise _malformed("a node is split or created twice")
    return of_class


def nodes_to_array(nodes: Sequence[Sequence[int]]) -> NDArray[np.int32]:
    """Pairs of class and node, int32[m, 2]; ``nodes[c]`` are of class c."""
    pairs = [(class_, node) for class_, of_class in enumerate(nodes) for node in of_class]
    return np.array(pairs, dtype=np.int32).reshape(-1, 2)


def nodes_from_array(pairs: NDArray[np.int32], classes: int) -> tuple[list[int], ...]:
    """Read the nodes of each class; raise FederationError unless pairs ascend by class."""
    if pairs.shape[1:] != (2,):
        raise _malformed("nodes have another shape")
    nodes: tuple[list[int], ...] = tuple([] for _ in range(classes))
    last = 0
    for class_, node in pairs.tolist():
        if not last <= class_ < classes or node < 0:
            raise _malformed("nodes are out of order or of no class")
        nodes[class_].append(node)
        last = class_
    if any(len(set(of_class)) != len(of_class) for of_class in nodes):
        raise _malformed("nodes are repeated")
    return nodes


def leaves_to_arrays(values: Sequence[Mapping[int, float]]) -> dict[str, Any]:
    """Fields ``leaf_nodes`` and ``leaf_values`` of a message; ``values[c]`` are of class c."""
    return {
        "leaf_nodes": nodes_to_array([list(of_class) for of_class in values]),
        "leaf_values": np.array([v for of_class in values for v in of_class.values()], np.float64),
    }


def leaves_from_message(message: TreeClosing, classes: int) -> tuple[dict[int, float], ...]:
    """Read node -> value of each class. Raises FederationError when a value is not finite."""
    nodes = nodes_from_array(message.leaf_nodes, classes)
    if len(message.leaf_nodes) != len(message.leaf_values):
        raise _malformed("leaves and their values do not match")
    if not np.isfinite(message.leaf_values).all():
        raise _malformed("a leaf's value is not finite")
    values = iter(message.leaf_values.tolist())
    return tuple({node: next(values) for node in of_class} for of_class in nodes)


def features_from_message(message: StartTree, features: int) -> NDArray[np.int64]:
    """Read the drawn features; raise FederationError unless they ascend and exist."""
    drawn = message.features.astype(np.int64)
    inside = len(drawn) > 0 and drawn[0] >= 0 and drawn[-1] < features
    if not inside or (np.diff(drawn) <= 0).any():
        raise _malformed("the drawn features are not among the run's")
    return drawn


def trees_to_arrays(trees: Sequence[Tree]) -> dict[str, Any]:
    """Fields of a WholeModel message; node sums stay behind."""
    children = [pair for tree in trees for pair in zip(tree.left, tree.right, strict=True)]
    return {
        "tree_splits": np.array([len(tree.splits) for tree in trees], dtype=np.int32),
        **_rules_to_arrays([split for tree in trees for split in tree.splits]),
        "children": np.array(children, dtype=np.int32).reshape(-1, 2),
        "leaf_values": np.array([v for tree in trees for v in tree.leaf_values], dtype=np.float64),
    }


def trees_from_message(message: WholeModel, bins: Sequence[FeatureBins]) -> tuple[Tree, ...]:
    """Read the trees back. Raises FederationError unless each is a tree over ``bins``."""
    rules = _rules_from_arrays(message.split_rules, message.left_codes, bins)
    counts = message.tree_splits
    if (counts < 0).any() or int(counts.sum()) != len(rules):
        raise _malformed("trees and rules do not match")
    if message.children.shape != (len(rules), 2):
        raise _malformed("children and rules do not match")
    values = message.leaf_values
    if len(values) != len(rules) + len(counts) or not np.isfinite(values).all():
        raise _malformed("trees and leaf values do not match")
    trees = []
    first = leaf = 0
    for size in counts.tolist():
        left, right = message.children[first : first + size].T
        _check_children(left, right, size)
        trees.append(
            Tree(
                splits=tuple(rules[first : first + size]),
                left=tuple(left.tolist()),
                right=tuple(right.tolist()),
                leaf_values=tuple(values[leaf : leaf + size + 1].tolist()),
                internal_sums=(_UNKNOWN,) * size,
                leaf_sums=(_UNKNOWN,) * (size + 1),
            )
        )
        first += size
        leaf += size + 1
    return tuple(trees)


def _check_children(left: NDArray[np.int32], right: NDArray[np.int32], size: int) -> None:
    """Every node but the root, and every leaf, has one parent; a child comes after its parent."""
    if size == 0:
        return
    children = np.concatenate((left, right))
    if not np.array_equal(np.sort(children), np.delete(np.arange(-size - 1, size), size + 1)):
        raise _malformed("a tree's children are not a tree")
    parents = np.concatenate((np.arange(size), np.arange(size)))
    if ((children >= 0) & (children <= parents)).any():
        raise _malformed("a tree's children come before their parents")


def _rules_to_arrays(splits: Sequence[Split]) -> dict[str, Any]:
    rules = [(split.feature, split.bin, int(split.missing_left)) for split in splits]
    sets = np.zeros((len(splits), 256), dtype=np.uint8)
    for row, split in enumerate(splits):
        sets[row, list(split.left_codes)] = 1
    return {
        "split_rules": np.array(rules, dtype=np.int32).reshape(-1, 3),
        "left_codes": np.packbits(sets, axis=1, bitorder="little"),
    }


def _rules_from_arrays(
    rules: NDArray[np.int32], left_codes: NDArray[np.uint8], bins: Sequence[FeatureBins]
) -> list[Split]:
    if rules.shape[1:] != (3,) or left_codes.shape != (len(rules), _SET_BYTES):
        raise _malformed("rules have another shape")
    return [
        _rule(feature, bin_, missing_left, codes, bins)
        for (feature, bin_, missing_left), codes in zip(
            rules.tolist(), _sets(left_codes), strict=True
        )
    ]


def _sets(packed: NDArray[np.uint8]) -> list[tuple[int, ...]]:
    """Read the set bits of each row, uint8[k, 32], ascending."""
    if not packed.any():
        return [()] * len(packed)
    rows, codes = np.nonzero(np.unpackbits(packed, axis=1, bitorder="little"))
    ends = np.searchsorted(rows, np.arange(len(packed) + 1)).tolist()
    return [tuple(codes[begin:end].tolist()) for begin, end in pairwise(ends)]


def _rule(
    feature: int,
    bin_: int,
    missing_left: int,
    codes: tuple[int, ...],
    bins: Sequence[FeatureBins],
) -> Split:
    if not 0 <= feature < len(bins) or missing_left not in {0, 1}:
        raise _malformed("a rule names a feature that the run has not")
    size = bins[feature].size
    if isinstance(bins[feature], CategoryBins):
        if not codes or codes[-1] >= min(size, MISSING_CODE) or bin_ != -1 or missing_left:
            raise _malformed("a rule's categories are not among the feature's")
    elif codes or not 0 <= bin_ < size:
        raise _malformed("a rule's bin is not among the feature's")
    return Split(feature, 0.0, bin_, missing_left=bool(missing_left), left_codes=codes)


def _malformed(what: str) -> FederationError:
    return FederationError(
        f"a message contradicts the run: {what}",
        fix="run the same version of fed-audience at the coordinator and at every site",
    )

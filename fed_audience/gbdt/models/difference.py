"""Where two model texts part: header, first differing tree and node, leaf values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from fed_audience.gbdt.models.reader import ModelText, TreeText

_CATEGORICAL: Final = 1
_DEFAULT_LEFT: Final = 2
_CODES_SHOWN: Final = 12


@dataclass(frozen=True, slots=True)
class NodeDifference:
    """The first place, walking from the root and left first, where two trees part.

    ``path``: the branches taken to it, such as 'LLR'; empty at the root. ``first`` and
    ``second`` say in words what each model holds there.
    """

    tree: int
    path: str
    first: str
    second: str


@dataclass(frozen=True, slots=True)
class LeafDifference:
    """The largest distance of two leaf values at the same place of trees with equal splits."""

    tree: int
    path: str
    first: float
    second: float

    @property
    def size(self) -> float:
        """Absolute distance."""
        return abs(self.first - self.second)


@dataclass(frozen=True, slots=True)
class ModelDifference:
    """How the second model differs from the first; covers and gains are left out.

    ``objectives`` and ``trees``: of the first and the second. ``bins``: features of both whose
    public cuts or categories differ, with both. ``common_trees``: how many trees from the first
    on are equal in splits and leaf values. ``node`` is None where every tree of both is equal or
    one model merely goes on.
    """

    objectives: tuple[str, str]
    added: tuple[str, ...]
    removed: tuple[str, ...]
    reordered: bool
    bins: tuple[tuple[str, str, str], ...]
    trees: tuple[int, int]
    common_trees: int
    node: NodeDifference | None
    leaf: LeafDifference | None

    @property
    def same(self) -> bool:
        """Whether both give every row the same score, and tell the same bins and objective."""
        return (
            self.objectives[0] == self.objectives[1]
            and not (self.added or self.removed or self.reordered or self.bins)
            and self.trees[0] == self.trees[1] == self.common_trees
        )


def model_difference(first: ModelText, second: ModelText) -> ModelDifference:
    """Compare two checked texts. Features are compared by name, trees by place, nodes by path."""
    both = [name for name in first.features if name in set(second.features)]
    common, node, leaf = 0, None, None
    for index, pair in enumerate(zip(first.trees, second.trees, strict=False)):
        found, largest = _tree_difference(index, (first, second), pair)
        if found is None and common == index:
            common += 1
        node = node or found
        if largest and (leaf is None or largest.size > leaf.size):
            leaf = largest
    infos = [dict(zip(of.features, of.feature_infos, strict=True)) for of in (first, second)]
    return ModelDifference(
        objectives=(first.objective, second.objective),
        added=tuple(name for name in second.features if name not in set(both)),
        removed=tuple(name for name in first.features if name not in set(both)),
        reordered=both != [name for name in second.features if name in set(both)],
        bins=tuple((n, infos[0][n], infos[1][n]) for n in both if infos[0][n] != infos[1][n]),
        trees=(len(first.trees), len(second.trees)),
        common_trees=common,
        node=node,
        leaf=leaf,
    )


def split_in_words(model: ModelText, tree: TreeText, node: int) -> str:
    """Say which rows go left, as in 'age <= 44.5, missing left'; a node below 0 is a leaf."""
    if node < 0:
        return f"leaf {tree.leaf_value[-node - 1]!r}"
    name, decision, rule = _rule(model, tree, node)
    if isinstance(rule, tuple):
        more = f" and {len(rule) - _CODES_SHOWN} more" if len(rule) > _CODES_SHOWN else ""
        return f"{name} in {{{', '.join(map(str, rule[:_CODES_SHOWN]))}}}{more}"
    side = "left" if decision & _DEFAULT_LEFT else "right"
    missing = ("missing as 0", f"0 and missing {side}", f"missing {side}")
    return f"{name} <= {rule!r}, {missing[min(decision >> 2, 2)]}"


def _rule(model: ModelText, tree: TreeText, node: int) -> tuple[str, int, float | tuple[int, ...]]:
    """Feature, kind and what goes left: equal where two splits treat every value alike."""
    name, decision = model.features[tree.split_feature[node]], tree.decision_type[node]
    threshold = tree.threshold[node]
    if not decision & _CATEGORICAL:
        return name, decision, threshold
    start, stop = tree.category_boundaries[int(threshold) : int(threshold) + 2]
    words = tree.category_words[start:stop]
    bits = ((at, bit) for at in range(len(words)) for bit in range(32))
    return name, _CATEGORICAL, tuple(32 * at + bit for at, bit in bits if words[at] >> bit & 1)


def _tree_difference(
    index: int, models: tuple[ModelText, ModelText], trees: tuple[TreeText, TreeText]
) -> tuple[NodeDifference | None, LeafDifference | None]:
    """First place where two trees part, and their largest leaf difference if the splits agree."""
    (first, second), (one, other) = models, trees
    parted: NodeDifference | None = None
    largest: LeafDifference | None = None
    pending = [(0 if one.left else -1, 0 if other.left else -1, "")]
    while pending:
        mine, theirs, path = pending.pop()
        inner = mine >= 0 and theirs >= 0
        if inner and _rule(first, one, mine) == _rule(second, other, theirs):
            pending.append((one.right[mine], other.right[theirs], path + "R"))
            pending.append((one.left[mine], other.left[theirs], path + "L"))
            continue
        words = (split_in_words(first, one, mine), split_in_words(second, other, theirs))
        if inner or (mine < 0) != (theirs < 0):
            return parted or NodeDifference(index, path, *words), None
        if words[0] != words[1]:
            values = (one.leaf_value[-mine - 1], other.leaf_value[-theirs - 1])
            leaf = LeafDifference(index, path, *values)
            largest = leaf if largest is None or leaf.size > largest.size else largest
            parted = parted or NodeDifference(index, path, *words)
    return parted, largest

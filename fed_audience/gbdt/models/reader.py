"""Strict reader of LightGBM v4 model texts.

LightGBM's own parser trusts sizes, indices and child references, and a wrong one ends the whole
process. A text from anywhere passes here first; what passes loads. One pass, linear time.
"""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from fed_audience.errors import ModelFormatError, ResourceError

MAX_CHARACTERS: Final = 2**29
MAX_FEATURES: Final = 100_000
MAX_TREES: Final = 100_000
MAX_LEAVES: Final = 131_072
MAX_DEPTH: Final = 1_024
MAX_CATEGORY_WORDS: Final = 2**20
MAX_LEAF_VALUE: Final = 1e100
"""So that no sum over trees, and no contribution, can overflow."""

_INT32: Final = 2**31 - 1
_WORD: Final = 2**32 - 1
_INTEGERS: Final = re.compile(r"-?[0-9]{1,10}(?: -?[0-9]{1,10})*")
_NUMBER_SYNTAX: Final = r"-?[0-9]{1,24}(?:\.[0-9]{1,24})?(?:e[+-]?[0-9]{1,3})?"
_NUMBERS: Final = re.compile(rf"{_NUMBER_SYNTAX}(?: {_NUMBER_SYNTAX})*")
_FEATURE_INFO: Final = re.compile(
    rf"none|\[{_NUMBER_SYNTAX}:{_NUMBER_SYNTAX}\]|-?[0-9]{{1,10}}(?::-?[0-9]{{1,10}})*"
)
_OBJECTIVE: Final = re.compile(
    rf"binary sigmoid:(?P<sigmoid>{_NUMBER_SYNTAX})|regression|regression_l1|poisson|cross_entropy"
    r"|tweedie"
    r"|multiclass num_class:(?P<classes>[0-9]{1,4})"
)
_TRAILER: Final = re.compile(
    r"|feature_importances:|\S+=[0-9]+|parameters:|\[\w+: .*\]|end of parameters"
    r"|pandas_categorical:(?:null|\[\])|privacy:(?P<privacy>\{.*\})"
)
# decision_type: bit 0 categorical, bit 1 default left, bits 2-3 what counts as missing (0, 1, 2).
_DECISIONS: Final = frozenset(range(12))


@dataclass(frozen=True, slots=True)
class TreeText:
    """The arrays of one tree; a child below zero is leaf ``-child - 1``."""

    split_feature: tuple[int, ...]
    split_gain: tuple[float, ...]
    threshold: tuple[float, ...]
    decision_type: tuple[int, ...]
    left: tuple[int, ...]
    right: tuple[int, ...]
    leaf_value: tuple[float, ...]
    leaf_count: tuple[int, ...]
    internal_count: tuple[int, ...]
    category_boundaries: tuple[int, ...]
    category_words: tuple[int, ...]
    depth: int

    @property
    def leaves(self) -> int:
        """Number of leaves."""
        return len(self.leaf_value)


@dataclass(frozen=True, slots=True)
class ModelText:
    """A checked model text; ``body`` ends with the trees and is all that LightGBM is given.

    ``privacy``: what the text says that its training promised, as JSON; nobody has checked it.
    """

    features: tuple[str, ...]
    feature_infos: tuple[str, ...]
    objective: str
    classes: int
    trees: tuple[TreeText, ...]
    body: str
    privacy: str | None = None


def read_model(text: str) -> ModelText:
    """Check every size, index, count, reference and number of ``text``.

    Raises ModelFormatError naming the line. Accepts what ``models.model.to_text`` writes and what
    LightGBM 4 saves for the usual objectives; refuses linear trees, averaged forests and models
    that carry a pandas category table, whose codes cannot be checked against a column.
    """
    lines = _Lines(text)
    names, infos, objective, classes, sizes = _read_header(lines)
    kinds: dict[int, int] = {}
    trees = tuple(_read_tree(lines, index, size, infos, kinds) for index, size in enumerate(sizes))
    lines.expect("end of trees")
    body = "\n".join(lines.lines[: lines.at]) + "\n"
    privacy = None
    while lines.at < len(lines.lines):
        line = lines.next()
        if (found := _TRAILER.fullmatch(line)) is None:
            lines.fail("unexpected line after the trees", line[:80])
        privacy = found["privacy"] or privacy
    return ModelText(names, infos, objective, classes, trees, body, privacy)


def load_booster(text: str) -> Any:
    """Give a checked ``text`` to ``lightgbm.Booster``.

    Raises ModelFormatError before LightGBM sees a bad text, and ResourceError with the command
    that mends it when LightGBM's OpenMP library is missing from the machine.
    """
    body = read_model(text).body
    try:
        import lightgbm  # noqa: PLC0415 - two seconds of import that only scoring needs
    except OSError as error:
        if "libgomp" not in str(error):
            raise
        raise ResourceError(
            "LightGBM needs the OpenMP library, which this machine lacks",
            value="libgomp.so.1",
            looked="the system's library path",
            fix="sudo apt-get install -y libgomp1   (Fedora, Red Hat: sudo dnf install libgomp)",
        ) from error
    return lightgbm.Booster(model_str=body)


class _Lines:
    """The lines of a text and the place in it; every complaint names the line."""

    def __init__(self, text: str) -> None:
        self.lines: list[str] = []
        self.at = 0
        if len(text) > MAX_CHARACTERS:
            self.fail("the text is too large", len(text), MAX_CHARACTERS)
        self.lines = text.split("\n")
        for line in self.lines:
            self.at += 1
            # Also refuses NUL, which would cut the text short, and lone surrogates.
            if not line.isprintable():
                self.fail("a character that does not print", ascii(line[:40]))
        self.at = 0

    def next(self) -> str:
        if self.at >= len(self.lines):
            self.fail("the text ends too early", f"{len(self.lines)} lines")
        self.at += 1
        return self.lines[self.at - 1]

    def expect(self, wanted: str) -> None:
        if (line := self.next()) != wanted:
            self.fail("unexpected line", line[:80], repr(wanted))

    def value(self, key: str) -> str:
        line = self.next()
        if not line.startswith(f"{key}="):
            self.fail("unexpected line", line[:80], f"{key}=...")
        return line[len(key) + 1 :]

    def integer(self, key: str, low: int, high: int) -> int:
        return self.integers(key, 1, low, high)[0]

    def integers(self, key: str, count: int, low: int, high: int) -> tuple[int, ...]:
        items = self._items(key, count, _INTEGERS)
        found = tuple(map(int, items))
        if found and not (low <= min(found) and max(found) <= high):
            self.fail(f"{key} out of range", f"{min(found)} to {max(found)}", f"{low} to {high}")
        return found

    def numbers(self, key: str, count: int) -> tuple[float, ...]:
        found = tuple(map(float, self._items(key, count, _NUMBERS)))
        if not all(map(math.isfinite, found)):
            self.fail(f"{key} holds a number too large for a double", "infinite")
        return found

    def _items(self, key: str, count: int, syntax: re.Pattern[str]) -> list[str]:
        text = self.value(key)
        if text and not syntax.fullmatch(text):
            self.fail(f"{key} is not a list of numbers", text[:80])
        items = text.split(" ") if text else []
        if len(items) != count:
            self.fail(f"wrong number of values in {key}", len(items), count)
        return items

    def fail(self, what: str, value: object, limit: object = None) -> NoReturn:
        raise ModelFormatError(
            f"model text refused: {what}",
            value=value,
            limit=limit,
            looked=f"line {self.at} of the text",
            fix="fetch or export the model again; its text must not be edited",
        )


def _read_header(
    lines: _Lines,
) -> tuple[tuple[str, ...], tuple[str, ...], str, int, tuple[int, ...]]:
    lines.expect("tree")
    lines.expect("version=v4")
    classes = lines.integer("num_class", 1, 9_999)
    lines.expect(f"num_tree_per_iteration={classes}")
    lines.integer("label_index", 0, _INT32)
    count = lines.integer("max_feature_idx", 0, MAX_FEATURES - 1) + 1
    objective = lines.value("objective")
    match = _OBJECTIVE.fullmatch(objective)
    if not match:
        lines.fail(
            "objective not supported",
            objective[:80],
            "binary, regression, regression_l1, poisson, cross_entropy, tweedie, multiclass",
        )
    if int(match["classes"] or 1) != classes or (match["sigmoid"] and float(match["sigmoid"]) <= 0):
        lines.fail("objective contradicts the header", objective[:80], f"num_class={classes}")
    names = tuple(lines.value("feature_names").split(" "))
    # An empty or '='-bearing name would be split differently by LightGBM.
    if len(names) != count or len(set(names)) != count or any(not n or "=" in n for n in names):
        lines.fail("feature names missing, empty, repeated or with '='", len(names), count)
    if lines.at < len(lines.lines) and lines.lines[lines.at].startswith("monotone_constraints="):
        lines.integers("monotone_constraints", count, -1, 1)
    infos = tuple(lines.value("feature_infos").split(" "))
    if len(infos) != count:
        lines.fail("wrong number of values in feature_infos", len(infos), count)
    for info in infos:
        if not _FEATURE_INFO.fullmatch(info):
            lines.fail("malformed feature info", info[:80], "none, [low:high] or 0:1:2")
    text = lines.value("tree_sizes")
    if not _INTEGERS.fullmatch(text):
        lines.fail("tree_sizes is not a list of integers", text[:80])
    sizes = tuple(map(int, text.split(" ")))
    if len(sizes) > MAX_TREES or len(sizes) % classes:
        lines.fail("impossible number of trees", len(sizes), f"{MAX_TREES}, {classes} a round")
    lines.expect("")
    return names, infos, objective, classes, sizes


def _read_tree(
    lines: _Lines, index: int, size: int, infos: tuple[str, ...], kinds: dict[int, int]
) -> TreeText:
    start = lines.at
    lines.expect(f"Tree={index}")
    leaves = lines.integer("num_leaves", 1, MAX_LEAVES)
    nodes = leaves - 1
    categorical = lines.integer("num_cat", 0, nodes)
    features = lines.integers("split_feature", nodes, 0, len(infos) - 1)
    gains = lines.numbers("split_gain", nodes)
    thresholds = lines.numbers("threshold", nodes)
    decisions = lines.integers("decision_type", nodes, min(_DECISIONS), max(_DECISIONS))
    left = lines.integers("left_child", nodes, -leaves, nodes - 1)
    right = lines.integers("right_child", nodes, -leaves, nodes - 1)
    values = lines.numbers("leaf_value", leaves)
    if max(map(abs, values)) > MAX_LEAF_VALUE:
        lines.fail("leaf_value larger than any score", max(values, key=abs), MAX_LEAF_VALUE)
    # LightGBM leaves the weight of a constant tree out.
    lines.numbers("leaf_weight", leaves if nodes else 0)
    counts = lines.integers("leaf_count", leaves, 0, _INT32)
    lines.numbers("internal_value", nodes)
    lines.numbers("internal_weight", nodes)
    internal_counts = lines.integers("internal_count", nodes, 0, _INT32)
    boundaries: tuple[int, ...] = (0,)
    words: tuple[int, ...] = ()
    if categorical:
        boundaries = lines.integers("cat_boundaries", categorical + 1, 0, MAX_CATEGORY_WORDS)
        if boundaries[0] != 0 or any(a >= b for a, b in itertools.pairwise(boundaries)):
            lines.fail("cat_boundaries must rise from 0", boundaries[:8])
        words = lines.integers("cat_threshold", boundaries[-1], 0, _WORD)
    lines.expect("is_linear=0")
    lines.numbers("shrinkage", 1)
    lines.expect("")
    lines.expect("")
    # Every line of a tree is ASCII by now, so characters are bytes.
    if (real := sum(map(len, lines.lines[start : lines.at])) + lines.at - start) != size:
        lines.fail(f"tree_sizes contradicts tree {index}", size, f"{real} bytes")
    tree = TreeText(
        split_feature=features,
        split_gain=gains,
        threshold=thresholds,
        decision_type=decisions,
        left=left,
        right=right,
        leaf_value=values,
        leaf_count=counts,
        internal_count=internal_counts,
        category_boundaries=boundaries,
        category_words=words,
        depth=_check_shape(lines, left, right),
    )
    _check_splits(lines, tree, infos, kinds)
    return tree


def _check_shape(lines: _Lines, left: tuple[int, ...], right: tuple[int, ...]) -> int:
    """Depth of the tree; every node and leaf must hang below the root exactly once."""
    if len({*left, *right, 0}) != 2 * len(left) + 1:
        lines.fail("a node or leaf is the child of two nodes", "children repeat")
    deepest, reached, pending = 0, 0, [(0, 1)] if left else []
    while pending:
        node, depth = pending.pop()
        reached += 1
        deepest = max(deepest, depth)
        pending += [(child, depth + 1) for child in (left[node], right[node]) if child >= 0]
    if reached != len(left):
        lines.fail("nodes that the root does not reach", len(left) - reached, 0)
    if deepest > MAX_DEPTH:
        lines.fail("the tree is too deep", deepest, MAX_DEPTH)
    return deepest


def _check_splits(
    lines: _Lines, tree: TreeText, infos: tuple[str, ...], kinds: dict[int, int]
) -> None:
    """Check kinds, sums and category sets; ``kinds`` remembers each feature's over the trees."""
    used = []
    for node, decision in enumerate(tree.decision_type):
        feature = tree.split_feature[node]
        info = infos[feature]
        # A feature that was constant where training went on is 'none', whatever its kind.
        kind = kinds.setdefault(feature, decision & 1)
        if kind != decision & 1 or (info != "none" and bool(kind) == info.startswith("[")):
            lines.fail("a split contradicts the kind of its feature", f"node {node}")
        if decision & 1:
            used.append(tree.threshold[node])
        children = (tree.left[node], tree.right[node])
        total = sum(tree.internal_count[c] if c >= 0 else tree.leaf_count[-c - 1] for c in children)
        if tree.internal_count[node] != total:
            lines.fail("internal_count is not the sum of its children", f"node {node}", total)
    if sorted(used) != list(range(len(tree.category_boundaries) - 1)):
        lines.fail("category splits and category sets do not match", len(used))

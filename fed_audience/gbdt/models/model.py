"""A finished model, and its text in LightGBM's v4 format.

The text is a pure function of the model: equal models give equal bytes, so its hash is the
model's identity. It holds public cuts and leaf values, never a minimum, maximum or count of rows;
what else it tells of its nodes is a level of ``cover``.
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fed_audience.errors import ConfigError
from fed_audience.gbdt.bins import CategoryBins, NumericBins
from fed_audience.gbdt.models.cover_levels import node_cover

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fed_audience.gbdt.bins import Feature, FeatureBins
    from fed_audience.gbdt.models.cover_levels import CoverLevel
    from fed_audience.gbdt.tree import Split, Tree

_CATEGORICAL: Final = 1
_NUMERIC_MISSING_RIGHT: Final = 8
_NUMERIC_MISSING_LEFT: Final = 10
_WORD: Final = 32
_FORBIDDEN: Final = frozenset('=",:[]{}\\')
_ONE_SCORE: Final = ("binary sigmoid:1", "regression", "poisson", "tweedie")


@dataclass(frozen=True, slots=True)
class Model:
    """An additive ensemble of trees over agreed bins.

    ``base_scores``: the raw score (before the objective's link) that every row starts from, one a
    class; a model of one score has one. Trees are stored iteration by iteration: tree ``i``
    belongs to class ``i % classes``. ``learning_rate`` is already in the leaf values and recorded
    only. ``objective`` is LightGBM's line for it, such as 'binary sigmoid:1', 'regression',
    'poisson', 'tweedie' or 'multiclass num_class:3'. ``privacy``: what noisy training promised, as
    JSON on one line; it stands behind the trees, where LightGBM reads over it.
    Raises ConfigError when features, bins, trees, base scores and objective disagree.
    """

    features: tuple[Feature, ...]
    bins: tuple[FeatureBins, ...]
    trees: tuple[Tree, ...]
    base_scores: tuple[float, ...]
    learning_rate: float
    objective: str = "binary sigmoid:1"
    privacy: str | None = None

    @property
    def classes(self) -> int:
        """Raw scores of a row, and trees of an iteration."""
        return len(self.base_scores)

    def __post_init__(self) -> None:
        if len(self.features) != len(self.bins) or not self.features:
            raise ConfigError(
                "a model needs features, and bins for each of them",
                value=f"{len(self.features)} features, {len(self.bins)} bins",
                fix="build both from the same manifest",
            )
        for feature, bins in zip(self.features, self.bins, strict=True):
            if feature.categorical != isinstance(bins, CategoryBins):
                raise ConfigError(
                    f"feature {feature.name!r} and its bins are of different kinds",
                    value=type(bins).__name__,
                    fix="declare the feature categorical where its bins are categories",
                )
        check_feature_names([feature.name for feature in self.features])
        classes = self.classes
        lines = _ONE_SCORE if classes == 1 else (f"multiclass num_class:{classes}",)
        if self.objective not in lines:
            raise ConfigError(
                "an objective that does not fit the number of base scores",
                value=f"{self.objective!r}, {classes} base scores",
                limit=", ".join(lines),
                fix="give one base score, or one a class of a multiclass objective",
            )
        if len(self.trees) % classes:
            raise ConfigError(
                "the trees of a model are not whole iterations",
                value=f"{len(self.trees)} trees",
                limit=f"a multiple of {classes}, one tree a class",
                fix="drop the trees of the iteration that was not finished",
            )


def check_feature_names(names: Iterable[str]) -> None:
    """Raise ConfigError for a name that LightGBM's text cannot carry, or carries twice.

    The text separates names by spaces and keys by '='; quotes, commas, colons, brackets, braces
    and backslashes break LightGBM's JSON dump.
    """
    counted = Counter(names)
    for name, times in counted.items():
        bad = sorted({c for c in name if c in _FORBIDDEN or c.isspace() or not c.isprintable()})
        if bad or not name:
            raise ConfigError(
                "a feature name holds characters that a model file cannot carry",
                value=f"{name!r} (offending: {bad})" if bad else "an empty name",
                limit='printable characters except spaces and = " , : [ ] { } \\',
                fix="rename the column, for example with underscores",
            )
        if times > 1:
            raise ConfigError(
                "two features have the same name", value=name, fix="rename one of the columns"
            )


def to_text(model: Model, *, cover: CoverLevel = "none") -> str:
    """Write ``model`` as LightGBM v4 text; ``lightgbm.Booster`` gives its raw scores bit for bit.

    ``cover``: what the text tells of the rows below each node (see ``CoverLevel``); scores do not
    depend on it. A class's base score is added to the leaves of its first tree by the same addition
    that the trainer's scores start from. A model without trees becomes one constant leaf a class.
    Numeric splits always say where a missing value goes; otherwise LightGBM would read it as zero.
    """
    blocks: list[str] = []
    if not model.trees:
        blocks = [_constant_block(index, base) for index, base in enumerate(model.base_scores)]
    for index, tree in enumerate(model.trees):
        first = index < model.classes
        base = model.base_scores[index] if first else 0.0
        # As LightGBM writes it: a tree that carries the base score has shrinkage 1.
        shrinkage = 1.0 if first else model.learning_rate
        blocks.append(_tree_block(index, tree, model.bins, base, shrinkage, cover))
    names = [feature.name for feature in model.features]
    header = [
        "tree",
        "version=v4",
        f"num_class={model.classes}",
        f"num_tree_per_iteration={model.classes}",
        "label_index=0",
        f"max_feature_idx={len(names) - 1}",
        f"objective={model.objective}",
        f"feature_names={_join(names)}",
        f"feature_infos={_join(_feature_info(bins) for bins in model.bins)}",
        f"tree_sizes={_join(len(block.encode()) for block in blocks)}",
    ]
    promise = "" if model.privacy is None else f"\nprivacy:{model.privacy}\n"
    return "\n".join(header) + "\n\n" + "".join(blocks) + "end of trees\n" + promise


def _join(values: Iterable[object]) -> str:
    return " ".join(map(str, values))


def _numbers(values: Iterable[float]) -> str:
    """Shortest decimals that read back as the same doubles."""
    return " ".join(str(int(v)) if v == int(v) and abs(v) < 1e15 else repr(v) for v in values)  # noqa: PLR2004 - integers below 1e15 print in full


def _feature_info(bins: FeatureBins) -> str:
    if isinstance(bins, CategoryBins):
        return ":".join(map(str, range(bins.size))) or "none"
    if not bins.thresholds:
        return "none"
    return f"[{bins.thresholds[0]!r}:{bins.thresholds[-1]!r}]"


def _bitset(codes: Iterable[int]) -> list[int]:
    """32-bit words with the bits of ``codes`` set."""
    mask = 0
    for code in codes:
        mask |= 1 << code
    words = max(1, -(-mask.bit_length() // _WORD))
    return [(mask >> (_WORD * word)) & 0xFFFFFFFF for word in range(words)]


def _threshold(split: Split, bins: FeatureBins) -> float:
    if not isinstance(bins, NumericBins):
        raise ConfigError(
            "a numeric split on a categorical feature",
            value=split.feature,
            fix="give a categorical split at least one left category",
        )
    if split.bin == bins.size - 1:
        # 'Anything present' against 'missing': every finite number is at or below this.
        return sys.float_info.max
    return bins.thresholds[split.bin]


def _constant_block(index: int, value: float) -> str:
    empty = "split_feature split_gain threshold decision_type left_child right_child"
    lines = [f"Tree={index}", "num_leaves=1", "num_cat=0", *(f"{key}=" for key in empty.split())]
    lines += [f"leaf_value={value!r}", "leaf_weight=", "leaf_count=1"]
    lines += ["internal_value=", "internal_weight=", "internal_count=", "is_linear=0"]
    return "\n".join([*lines, "shrinkage=1"]) + "\n\n\n"


def _tree_block(
    index: int,
    tree: Tree,
    bins: tuple[FeatureBins, ...],
    base: float,
    shrinkage: float,
    cover: CoverLevel,
) -> str:
    if not tree.splits:
        return _constant_block(index, tree.leaf_values[0] + base)
    thresholds: list[float] = []
    decisions: list[int] = []
    boundaries, words = [0], list[int]()
    for split in tree.splits:
        if split.categorical:
            thresholds.append(float(len(boundaries) - 1))
            decisions.append(_CATEGORICAL)
            words += _bitset(split.left_codes)
            boundaries.append(len(words))
        else:
            thresholds.append(_threshold(split, bins[split.feature]))
            decisions.append(
                _NUMERIC_MISSING_LEFT if split.missing_left else _NUMERIC_MISSING_RIGHT
            )
    known = node_cover(tree, cover, base)
    lines = [
        f"Tree={index}",
        f"num_leaves={tree.leaves}",
        f"num_cat={len(boundaries) - 1}",
        f"split_feature={_join(split.feature for split in tree.splits)}",
        f"split_gain={_numbers(known.gains)}",
        f"threshold={_numbers(thresholds)}",
        f"decision_type={_join(decisions)}",
        f"left_child={_join(tree.left)}",
        f"right_child={_join(tree.right)}",
        f"leaf_value={_join(repr(value + base) for value in tree.leaf_values)}",
        f"leaf_weight={_numbers(known.leaf_weights)}",
        f"leaf_count={_join(known.leaf_counts)}",
        f"internal_value={_numbers(known.internal_values)}",
        f"internal_weight={_numbers(known.internal_weights)}",
        f"internal_count={_join(known.internal_counts)}",
    ]
    if words:
        lines += [f"cat_boundaries={_join(boundaries)}", f"cat_threshold={_join(words)}"]
    return "\n".join([*lines, "is_linear=0", f"shrinkage={_numbers([shrinkage])}"]) + "\n\n\n"

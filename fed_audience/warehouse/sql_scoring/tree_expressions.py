"""Trees as nested CASE expressions, for models small enough to be one statement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fed_audience.gbdt.bins import MISSING_CODE

if TYPE_CHECKING:
    from fed_audience.gbdt.models.reader import ModelText, TreeText
    from fed_audience.warehouse.sql_scoring.dialects import SqlDialect

CHUNK: Final = 25
"""Trees added in one step; planners take far more than twice as long for twice as many."""

DEEPEST: Final = 200
"""Levels of CASE that every engine's parser takes."""

_CATEGORICAL, _DEFAULT_LEFT, _MISSING_IS = 1, 2, 2
_ZERO, _NAN = 1, 2


def value_name(feature: int) -> str:
    """Return the column of prepared rows that holds feature number ``feature``."""
    return f"v{feature}"


def left_codes(tree: TreeText, node: int) -> tuple[int, ...] | None:
    """Return the category codes that go left at ``node``; None for a split of numbers."""
    if not tree.decision_type[node] & _CATEGORICAL:
        return None
    cut = int(tree.threshold[node])
    begin, end = tree.category_boundaries[cut : cut + 2]
    words = tree.category_words[begin:end]
    codes = (32 * at + bit for at, word in enumerate(words) for bit in range(32) if word >> bit & 1)
    # What is missing, rare or unseen is NaN to LightGBM, and goes right.
    return tuple(code for code in codes if code < MISSING_CODE)


def missing_left(tree: TreeText, node: int) -> bool:
    """Tell whether a missing number goes left at ``node``, as LightGBM's ``tree.h`` decides."""
    decision = tree.decision_type[node]
    if decision >> _MISSING_IS == 0:
        return tree.threshold[node] >= 0.0  # it counts as zero
    return bool(decision & _DEFAULT_LEFT)


def zero_is_missing(tree: TreeText, node: int) -> bool:
    """Tell whether zero, too, counts as missing at ``node``."""
    return tree.decision_type[node] >> _MISSING_IS == _ZERO


def sums_of_chunks(
    model: ModelText, dialect: SqlDialect, rows: str, carried: tuple[str, ...]
) -> list[str]:
    """Return the common table expressions that add up the trees; the last is `summed`.

    ``rows``: what the first reads, with ``carried`` and the values. Trees are added one after
    another from zero, in the order of LightGBM, so that the sums are its sums to the last bit.
    """
    used = sorted({feature for tree in model.trees for feature in tree.split_feature})
    columns = ", ".join((*carried, *map(value_name, used)))
    found, total, read = [], dialect.number(0.0), rows
    for start in range(0, len(model.trees), CHUNK):
        trees = model.trees[start : start + CHUNK]
        summed = " + ".join((total, *(_case(tree, 0, dialect) for tree in trees)))
        last = start + CHUNK >= len(model.trees)
        name = "summed" if last else f"to_tree_{start + len(trees)}"
        found.append(
            f"{name} as{dialect.materialized} (select {columns}, {summed} as total from {read})"
        )
        total, read = "total", name
    return found


def _case(tree: TreeText, node: int, dialect: SqlDialect) -> str:
    if node < 0 or not tree.split_feature:
        return dialect.number(tree.leaf_value[-node - 1 if node < 0 else 0])
    left, right = (_case(tree, side[node], dialect) for side in (tree.left, tree.right))
    return f"case when {_goes_left(tree, node, dialect)} then {left} else {right} end"


def _goes_left(tree: TreeText, node: int, dialect: SqlDialect) -> str:
    value = value_name(tree.split_feature[node])
    codes = left_codes(tree, node)
    if codes is not None:
        return f"{value} in ({', '.join(map(str, codes))})" if codes else "1 = 0"
    below = f"{value} <= {dialect.number(tree.threshold[node])}"
    if missing_left(tree, node):
        zero = f" or {value} = 0" if zero_is_missing(tree, node) else ""
        return f"({value} is null{zero} or {below})"
    # A comparison with NULL is not true, and goes right.
    return f"({value} <> 0 and {below})" if zero_is_missing(tree, node) else below

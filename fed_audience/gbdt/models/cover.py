"""A site's private copy of a model: its text with covers counted on the site's own rows.

A shared text tells no or coarse covers, so TreeSHAP on it weighs branches wrongly. The copy made
here is right for the rows it was made of, tells how they are spread, and stays where they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from fed_audience.errors import DataError
from fed_audience.gbdt.models.cover_levels import sums_below
from fed_audience.gbdt.models.model import to_text
from fed_audience.gbdt.models.predictor import Predictor
from fed_audience.gbdt.models.reader import load_booster, read_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from fed_audience.gbdt.models.model import Model

ROOT_COVER: Final = 2**30
"""About the cover of a root: exact multiples of it leave an empty leaf's 1 without weight."""

_BLOCK: Final = 1 << 16
_HEAVIEST: Final = 2.0**64


def fill_cover(
    model: Model, codes: npt.NDArray[np.uint8], weights: npt.NDArray[np.float64] | None = None
) -> str:
    """Text of ``model`` whose covers are those of the rows ``codes`` (uint8[n, F]).

    ``weights`` (float64[n], not negative) replace the count of rows. Covers are proportional to
    rows, a leaf without a row covers 1 of about 2^30, and parents are the sums of their children:
    the contributions of LightGBM's ``pred_contrib`` add up to the raw score, and its expected
    value is the mean raw score over these rows.
    Raises DataError without rows, for codes of another shape and for unusable weights.
    """
    weights = _checked(len(codes), weights)
    cover = Predictor.of(model).leaf_cover(codes, weights)
    return with_leaf_counts(to_text(model), [leaf_counts(leaves) for leaves in cover])


def fill_text_cover(
    text: str,
    values: npt.NDArray[np.float64],
    weights: npt.NDArray[np.float64] | None = None,
    *,
    threads: int = 1,
) -> str:
    """``fill_cover`` for any model text and rows as ``lightgbm.Booster`` takes them.

    ``values``: float64[n, F], as ``Encoder.to_lightgbm`` gives them. Raises ModelFormatError for
    an unsound text, DataError for rows or weights that cannot be used.
    """
    checked = read_model(text)
    if values.ndim != 2 or values.shape[1] != len(checked.features):  # noqa: PLR2004 - a table
        raise DataError(
            "rows do not fit the model",
            value=list(values.shape),
            limit=f"[rows, {len(checked.features)}]",
            fix="encode the rows with the encoder that came with the model",
        )
    weights = _checked(len(values), weights)
    booster = load_booster(text)
    cover = [np.zeros(tree.leaves) for tree in checked.trees]
    for start in range(0, len(values), _BLOCK):
        part = slice(start, start + _BLOCK)
        leaves = booster.predict(values[part], pred_leaf=True, num_threads=threads).astype(np.int64)
        for index, of in enumerate(leaves.T):
            cover[index] += np.bincount(of, weights[part], len(cover[index]))
    return with_leaf_counts(checked.body, [leaf_counts(leaves) for leaves in cover])


def with_leaf_counts(text: str, counts: Sequence[Sequence[int]]) -> str:
    """Put leaf counts (int[leaves] a tree, at least 1) and their sums into a checked text."""
    trees = read_model(text).trees
    head, *blocks = text.removesuffix("end of trees\n").split("Tree=")
    filled = []
    for tree, of_tree, block in zip(trees, counts, blocks, strict=True):
        lines = block.split("\n")
        for key, values in (("leaf_count", of_tree), ("internal_count", sums_below(tree, of_tree))):
            place = next(n for n, line in enumerate(lines) if line.startswith(f"{key}="))
            lines[place] = f"{key}={' '.join(map(str, values))}"
        filled.append("Tree=" + "\n".join(lines))
    sizes = " ".join(str(len(block.encode())) for block in filled)
    lines = [f"tree_sizes={sizes}" if x.startswith("tree_sizes=") else x for x in head.split("\n")]
    return "\n".join(lines) + "".join(filled) + "end of trees\n"


def _checked(rows: int, weights: npt.NDArray[np.float64] | None) -> npt.NDArray[np.float64]:
    if not rows:
        raise DataError(
            "there is no row to take the cover of a model from",
            fix="explain the model where it has rows",
        )
    if weights is None:
        return np.ones(rows)
    fits = weights.shape == (rows,) and bool(np.all((weights >= 0) & (weights <= _HEAVIEST)))
    if not fits or not weights.any():
        raise DataError(
            "weights that cannot weigh rows",
            value=f"{weights.dtype}{list(weights.shape)}",
            limit=f"{rows} numbers from 0 to 2^64, not all zero",
            fix="give each row one weight",
        )
    return np.asarray(weights, np.float64)


def leaf_counts(cover: npt.NDArray[np.float64]) -> list[int]:
    """Whole covers of a tree's leaves, proportional to ``cover`` where that is whole rows.

    ``cover``: float64[leaves], the rows in each, not all 0.
    """
    total = float(cover.sum())
    if total == int(total) and np.all(cover == np.floor(cover)) and total <= ROOT_COVER:
        scale = float(ROOT_COVER // int(total))
    else:
        scale = ROOT_COVER / total
    return [max(1, round(leaf * scale)) for leaf in cover.tolist()]

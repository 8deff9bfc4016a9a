"""Raw scores straight from bin codes, bit-equal with LightGBM on the exported text.

Scores a model on rows that are already encoded, without LightGBM and without going back to values.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numba
import numpy as np

from fed_audience.errors import DataError
from fed_audience.gbdt.bins import MISSING_CODE

if TYPE_CHECKING:
    import numpy.typing as npt

    from fed_audience.gbdt.models.model import Model
    from fed_audience.gbdt.tree import Split

_BLOCK: Final = 2_048
"""Rows that stay in cache while every tree passes over them."""


@dataclass(frozen=True, slots=True)
class Predictor:
    """A model compiled to flat arrays.

    Every split is a set of codes that go left, a bitset of 256 bits, so numbers, missing values
    and categories need one test. ``left`` and ``right`` hold positions in the flat arrays, or
    ``-leaf - 1``; ``roots`` holds where each tree starts and ``first_leaves`` where its
    leaves do; tree ``i`` adds to class ``i % classes``.
    """

    features: int
    classes: int
    roots: npt.NDArray[np.int32]
    split_feature: npt.NDArray[np.int32]
    left_set: npt.NDArray[np.uint32]
    left: npt.NDArray[np.int32]
    right: npt.NDArray[np.int32]
    leaf_values: npt.NDArray[np.float64]
    first_leaves: npt.NDArray[np.int64]

    @classmethod
    def of(cls, model: Model) -> Predictor:
        """Compile ``model``; base scores join the first leaves as in its text."""
        roots: list[int] = []
        features: list[int] = []
        sets: list[list[int]] = []
        left: list[int] = []
        right: list[int] = []
        values: list[float] = []
        first_leaves: list[int] = []
        for index, tree in enumerate(model.trees):
            nodes, leaves = len(features), len(values)
            first_leaves.append(leaves)
            roots.append(nodes if tree.splits else -leaves - 1)
            features += [split.feature for split in tree.splits]
            sets += [_left_set(split) for split in tree.splits]
            for children, mine in ((tree.left, left), (tree.right, right)):
                mine += [child + nodes if child >= 0 else child - leaves for child in children]
            base = model.base_scores[index] if index < model.classes else 0.0
            values += [value + base for value in tree.leaf_values]
        if not model.trees:
            roots, values = [-1 - k for k in range(model.classes)], list(model.base_scores)
            first_leaves = list(range(model.classes))
        return cls(
            features=len(model.features),
            classes=model.classes,
            roots=np.array(roots, np.int32),
            split_feature=np.array(features, np.int32),
            left_set=np.array(sets, np.uint32).reshape(-1, 8),
            left=np.array(left, np.int32),
            right=np.array(right, np.int32),
            leaf_values=np.array(values, np.float64),
            first_leaves=np.array(first_leaves, np.int64),
        )

    def raw_scores(
        self, codes: npt.NDArray[np.uint8], *, threads: int = 1
    ) -> npt.NDArray[np.float64]:
        """Raw scores of the rows of ``codes`` (uint8[n, F]); raises DataError on another shape.

        float64[n] of a model of one score, float64[K, n] of one of K classes. Trees are added in
        order, as LightGBM adds them, whatever ``threads``.
        """
        codes = self._checked(codes)
        scores = np.empty((self.classes, len(codes)))
        cuts = np.linspace(0, len(codes), threads + 1).astype(np.int64)

        def score(part: int) -> None:
            rows = slice(cuts[part], cuts[part + 1])
            mine = np.zeros((self.classes, cuts[part + 1] - cuts[part]))
            _add_trees(
                codes[rows],
                self.roots,
                self.split_feature,
                self.left_set,
                self.left,
                self.right,
                self.leaf_values,
                mine,
            )
            scores[:, rows] = mine

        if threads == 1:
            score(0)
        else:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(score, range(threads)))
        return scores if self.classes > 1 else scores[0]

    def leaf_cover(
        self, codes: npt.NDArray[np.uint8], weights: npt.NDArray[np.float64] | None = None
    ) -> list[npt.NDArray[np.float64]]:
        """Weight of the rows of ``codes`` in each leaf, by tree: float64[leaves].

        Rows weigh 1 without ``weights`` (float64[n]). Raises DataError for codes of another shape.
        """
        codes = self._checked(codes)
        weights = np.ones(len(codes)) if weights is None else weights
        cover = np.zeros(len(self.leaf_values))
        _add_weights(
            codes,
            weights,
            self.roots,
            self.split_feature,
            self.left_set,
            self.left,
            self.right,
            cover,
        )
        return np.split(cover, self.first_leaves[1:])

    def _checked(self, codes: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        shape = (codes.shape[0], self.features)
        if codes.shape != shape or codes.dtype != np.uint8:
            raise DataError(
                "codes do not fit the model",
                value=f"{codes.dtype}{list(codes.shape)}",
                limit=f"uint8[rows, {self.features}]",
                fix="encode the rows with the encoder that came with the model",
            )
        return np.ascontiguousarray(codes)


def raw_scores(
    model: Model, codes: npt.NDArray[np.uint8], *, threads: int = 1
) -> npt.NDArray[np.float64]:
    """Raw scores of the rows of ``codes`` (uint8[n, F]) under ``model``.

    float64[n] of a model of one score (log odds when its objective is binary), float64[K, n] of
    one of K classes.
    """
    return Predictor.of(model).raw_scores(codes, threads=threads)


def _left_set(split: Split) -> list[int]:
    if split.categorical:
        codes = set(split.left_codes) - {MISSING_CODE}
    else:
        codes = set(range(split.bin + 1)) | ({MISSING_CODE} if split.missing_left else set())
    mask = sum(1 << code for code in codes)
    return [(mask >> (32 * word)) & 0xFFFFFFFF for word in range(8)]


@numba.njit(nogil=True, cache=True)
def _leaf_of(
    codes: npt.NDArray[np.uint8],
    root: int,
    split_feature: npt.NDArray[np.int32],
    left_set: npt.NDArray[np.uint32],
    left: npt.NDArray[np.int32],
    right: npt.NDArray[np.int32],
) -> int:
    node = root
    while node >= 0:
        code = codes[split_feature[node]]
        goes_left = (left_set[node, code >> 5] >> (code & 31)) & 1
        node = left[node] if goes_left else right[node]
    return -node - 1


@numba.njit(nogil=True, cache=True)
def _add_trees(
    codes: npt.NDArray[np.uint8],
    roots: npt.NDArray[np.int32],
    split_feature: npt.NDArray[np.int32],
    left_set: npt.NDArray[np.uint32],
    left: npt.NDArray[np.int32],
    right: npt.NDArray[np.int32],
    leaf_values: npt.NDArray[np.float64],
    scores: npt.NDArray[np.float64],
) -> None:
    classes = scores.shape[0]
    for start in range(0, codes.shape[0], _BLOCK):
        stop = min(start + _BLOCK, codes.shape[0])
        for tree, root in enumerate(roots):
            of = tree % classes
            for row in range(start, stop):
                leaf = _leaf_of(codes[row], root, split_feature, left_set, left, right)
                scores[of, row] += leaf_values[leaf]


@numba.njit(nogil=True, cache=True)
def _add_weights(
    codes: npt.NDArray[np.uint8],
    weights: npt.NDArray[np.float64],
    roots: npt.NDArray[np.int32],
    split_feature: npt.NDArray[np.int32],
    left_set: npt.NDArray[np.uint32],
    left: npt.NDArray[np.int32],
    right: npt.NDArray[np.int32],
    cover: npt.NDArray[np.float64],
) -> None:
    for start in range(0, codes.shape[0], _BLOCK):
        stop = min(start + _BLOCK, codes.shape[0])
        for root in roots:
            for row in range(start, stop):
                leaf = _leaf_of(codes[row], root, split_feature, left_set, left, right)
                cover[leaf] += weights[row]

"""A site's binned rows in the two layouts that the kernels read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

import numpy as np
from numba import njit

from fed_audience.errors import DataError
from fed_audience.gbdt.bins import MISSING_CODE
from fed_audience.gbdt.kernels.team import ALONE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fed_audience.gbdt.bins import FeatureBins
    from fed_audience.gbdt.kernels.team import Team
    from fed_audience.gbdt.tree import Split

CODES_PER_WORD: Final = 8
_BLOCK_ROWS: Final = 1 << 12  # both layouts of a block stay in the second-level cache
_UP_TO: Final = np.tri(MISSING_CODE + 1, dtype=np.uint8)
"""1 for each code up to a bin, by bin."""

MAX_ROWS: Final = 2**31
"""Most rows of one matrix: row numbers are 32 bits, with room for the prefetch distance."""


def row_stride(features: int) -> int:
    """Bytes from one row to the next.

    Up to 64 features a row is padded to 8, 16, 32 or 64 bytes, so that it never straddles a
    64-byte cache line; wider rows are padded to whole 8-byte words.
    """
    for stride in (8, 16, 32, 64):
        if features <= stride:
            return stride
    return -(-features // CODES_PER_WORD) * CODES_PER_WORD


@dataclass(frozen=True, slots=True)
class BinnedMatrix:
    """Bin codes of ``rows`` x ``features``, twice: row-major words and columns.

    ``words``: uint64[rows * stride / 8], eight codes a word, first feature in the lowest byte;
    histograms read it. ``columns``: uint8[features, rows]; partitioning reads it. Together they
    take ``stride + features`` bytes a row (62 bytes at 30 features).
    """

    words: NDArray[np.uint64]
    columns: NDArray[np.uint8]
    stride: int

    @classmethod
    def from_columns(
        cls,
        columns: NDArray[np.uint8],
        bins: Sequence[FeatureBins],
        team: Team = ALONE,
    ) -> Self:
        """Lay out ``columns`` (uint8[features, rows], C order, kept without a copy).

        Raises DataError when a code lies outside its feature's bins: such a row would fall
        silently out of every histogram.
        """
        features, rows = columns.shape
        if rows >= MAX_ROWS:
            raise DataError(
                "too many rows for one site",
                value=rows,
                limit=MAX_ROWS - 1,
                fix="split the brand into several sites",
            )
        for index, (column, feature_bins) in enumerate(zip(columns, bins, strict=True)):
            most = _greatest(column)
            if most >= feature_bins.size:
                raise DataError(
                    f"feature {index} has a code outside its bins",
                    value=most,
                    limit=f"0 to {feature_bins.size - 1}, or {MISSING_CODE} for missing",
                    fix="encode the rows with the bins of this run",
                )
        stride = row_stride(features)
        columns = np.ascontiguousarray(columns)
        words = np.zeros((rows, stride // CODES_PER_WORD), dtype="<u8")

        def job(start: int) -> None:
            block = slice(start, start + _BLOCK_ROWS)
            _pack(columns[:, block], words[block])

        team.map(job, range(0, rows, _BLOCK_ROWS))
        return cls(words.reshape(-1), columns, stride)

    def take(self, rows: NDArray[np.int64]) -> BinnedMatrix:
        """Return the matrix of some rows, in the order given."""
        words = self.words.reshape(self.rows, -1)[rows].reshape(-1)
        return BinnedMatrix(words, np.ascontiguousarray(self.columns[:, rows]), self.stride)

    @property
    def rows(self) -> int:
        """Number of rows."""
        return int(self.columns.shape[1])

    @property
    def features(self) -> int:
        """Number of features."""
        return int(self.columns.shape[0])

    @property
    def nbytes(self) -> int:
        """Memory of both layouts in bytes."""
        return self.words.nbytes + self.columns.nbytes


def _greatest(column: NDArray[np.uint8]) -> int:
    """Largest code but MISSING_CODE, -1 when there is none; one added, that one becomes 0."""
    starts = range(0, len(column), _BLOCK_ROWS)
    blocks = (column[start : start + _BLOCK_ROWS] for start in starts)
    return max((int((block + np.uint8(1)).max()) for block in blocks), default=0) - 1


@njit(cache=True, nogil=True)
def _pack(columns: NDArray[np.uint8], words: NDArray[np.uint64]) -> None:
    """Gather the codes of each row, feature after feature, from the lowest byte of its words."""
    for feature in range(columns.shape[0]):
        word = feature // CODES_PER_WORD
        shift = np.uint64(8 * (feature % CODES_PER_WORD))
        for row in range(columns.shape[1]):
            words[row, word] |= np.uint64(columns[feature, row]) << shift


def go_left_tables(splits: Sequence[Split]) -> NDArray[np.uint8]:
    """Return uint8[len(splits), 256]: 1 where a row with that code goes left at the split."""
    tables = _UP_TO[np.array([split.bin for split in splits], dtype=np.int64)]
    for table, split in zip(tables, splits, strict=True):
        if split.categorical:
            table[:] = 0
            table[list(split.left_codes)] = 1
        elif split.missing_left:
            table[MISSING_CODE] = 1
    return tables

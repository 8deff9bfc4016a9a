"""A site's features between reading and encoding: Arrow's own values, and categories by number.

Numbers stay where Arrow holds them and pass through the caches a block at a time; of categories
each row keeps the number of its distinct value. So nothing of the size of the table is copied.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pyarrow as pa

from fed_audience.errors import DataError
from fed_audience.federation.messages.refusal import Refusal
from fed_audience.gbdt.bins.arrow_columns import BLOCK_ROWS
from fed_audience.gbdt.bins.canonical import marked_beyond
from fed_audience.gbdt.bins.categories import bucket_counts, categories_of, refined_counts
from fed_audience.gbdt.bins.encoding import encode_categorical
from fed_audience.gbdt.bins.numbers import number_blocks
from fed_audience.gbdt.bins.threshold_search import ThresholdSearch, write_codes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from fed_audience.gbdt.bins import CategoryBins, Feature, FeatureBins, NumericBins
    from fed_audience.gbdt.bins.categories import Categories
    from fed_audience.gbdt.bins.grid import Grid

    Codes = NDArray[np.uint8]
    Counts = NDArray[np.int64]
    Marks = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class NumericColumn:
    """Numbers as Arrow holds them.

    ``training``: bool[n] marks the rows that train, ``clipped`` of them clipped to +-2^64.
    """

    values: Any
    training: Marks
    clipped: int

    def counts(self, grid: Grid) -> Counts:
        """Training rows by cell, then the missing, then the clipped."""
        return np.append(grid.counts_of(_marked(self.values, self.training)), self.clipped)

    def encode(self, bins: FeatureBins, out: Codes) -> None:
        """Write the codes of all rows to ``out``, uint8[n], training rows first."""
        search = ThresholdSearch.of(cast("NumericBins", bins))
        codes = np.empty(BLOCK_ROWS, dtype=np.uint8)
        trained, held_out = 0, int(np.count_nonzero(self.training))
        for numbers, training in _marked(self.values, self.training):
            block = codes[: len(numbers)]
            write_codes(numbers, search, block)
            front, rest = block[training], block[~training]
            out[trained : trained + len(front)] = front
            out[held_out : held_out + len(rest)] = rest
            trained += len(front)
            held_out += len(rest)


@dataclass(frozen=True, slots=True)
class CategoricalColumn:
    """Categories of all rows, training rows first.

    ``rows``: int64[d], how many training rows hold each distinct value.
    """

    categories: Categories
    rows: Counts

    def bucket_counts(self) -> Counts:
        """Training rows by bucket."""
        return bucket_counts(self.categories.prefixes, self.categories.missing, self.rows)

    def refined_counts(self, survivors: NDArray[np.uint32]) -> Counts:
        """Training rows by prefix of the surviving buckets."""
        found = self.categories
        return refined_counts(found.prefixes, found.missing, survivors, self.rows)

    def encode(self, bins: FeatureBins, out: Codes) -> None:
        """Write the codes of all rows to ``out``, uint8[n], training rows first."""
        found = self.categories
        codes = encode_categorical(found.prefixes, found.missing, cast("CategoryBins", bins))
        for start in range(0, len(out), BLOCK_ROWS):
            block = slice(start, start + BLOCK_ROWS)
            out[block] = codes[found.positions[block]]


def read_column(
    feature: Feature,
    column: pa.ChunkedArray[Any] | pa.Array[Any],
    training: Marks,
    category_key: bytes,
) -> NumericColumn | CategoricalColumn:
    """Take a feature's column, of which the rows marked in ``training`` train.

    Raises Refusal for values that are no numbers, or no categories.
    """
    try:
        if not feature.categorical:
            return NumericColumn(column, training, _clipped(column, training))
        found = categories_of(column, category_key)
    except (DataError, pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise Refusal("column_type", feature.name, detail=column.type) from error
    front = found.positions[training]
    rows = np.zeros(len(found.prefixes), dtype=np.int64)
    for start in range(0, len(front), BLOCK_ROWS):
        rows += np.bincount(front[start : start + BLOCK_ROWS], minlength=len(rows))
    positions = np.concatenate((front, found.positions[~training]))
    return CategoricalColumn(replace(found, positions=positions), rows)


def _clipped(column: Any, training: Marks) -> int:
    """Training rows beyond what is told apart, infinities among them."""
    return sum(int(marked_beyond(numbers, marks)) for numbers, marks in _marked(column, training))


def _marked(column: Any, marks: Marks) -> Iterator[tuple[NDArray[np.float64], Marks]]:
    """Blocks of a column's numbers with their marks."""
    start = 0
    for numbers in number_blocks(column):
        yield numbers, marks[start : start + len(numbers)]
        start += len(numbers)

"""Where a site's rows come from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Iterator


class RowSource(Protocol):
    """What a site trains from: features, label, row key and, where declared, group key.

    ``batches`` may be called again and yields the same rows. They never leave the site.
    """

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows, at least one (possibly empty) batch, all of one schema."""
        ...


class ArrowSource:
    """Rows of a table that is already in memory."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the table's batches, or one empty batch that carries its schema."""
        yield from self._table.to_batches() or [
            pa.RecordBatch.from_pylist([], schema=self._table.schema)
        ]

"""Where a site's rows come from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

import pyarrow as pa

from fed_audience.federation.site.spooled_table import table_of

if TYPE_CHECKING:
    from collections.abc import Iterator


class RowSource(Protocol):
    """What a site trains from: features, label, row key and, where declared, group key.

    ``batches`` may be called again and yields the same rows. They never leave the site.
    """

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows, at least one (possibly empty) batch, all of one schema."""
        ...


@runtime_checkable
class TableSource(RowSource, Protocol):
    """A source whose rows are held anyway: a site needs no copy of them, on no disk either."""

    def as_table(self) -> pa.Table:
        """Return the rows that ``batches`` would yield."""
        ...


class ArrowSource:
    """Rows of a table that is already in memory."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def as_table(self) -> pa.Table:
        """Return the table."""
        return self._table

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the table's batches, or one empty batch that carries its schema."""
        yield from self._table.to_batches() or [
            pa.RecordBatch.from_pylist([], schema=self._table.schema)
        ]


def rows_of(source: RowSource) -> pa.Table:
    """Read ``source`` once and hold its rows. Raises ResourceError where they find no room."""
    return source.as_table() if isinstance(source, TableSource) else table_of(source.batches())

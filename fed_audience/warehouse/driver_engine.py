"""What the engines of the cloud share: their drivers hand out Arrow, in types of their own."""

from __future__ import annotations

import secrets
from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

import pyarrow as pa

from fed_audience.warehouse.engine import Engine
from fed_audience.warehouse.protocol import Relation

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fed_audience.warehouse.spelling import Spelling

_DIGITS_OF_INT64 = 18


class DriverEngine(Engine):
    """An engine whose driver takes statements in its own words and yields Arrow.

    ``INSTANTS_HAVE_ZONE``: its `timestamp` is an instant with a zone; as sessions are in UTC it
    arrives naive, like everything of ours. ``WIDTHS_VARY``: a driver that sends whole numbers as
    narrow as a batch allows; they arrive as int64.
    """

    spelling: ClassVar[Spelling]
    INSTANTS_HAVE_ZONE: ClassVar[bool] = True
    WIDTHS_VARY: ClassVar[bool] = False

    def __init__(self, where: str, patience_s: float) -> None:
        super().__init__(where, patience_s)
        self._session = secrets.token_hex(4)

    def temporary(self, name: str) -> Relation:
        """Return where a temporary table stands; no other session gives it the same name."""
        return Relation(self.temporary_schema, f"{name}_{self._session}")

    def query(self, statement: str, parameters: Sequence[object] = ()) -> pa.Table:
        """Run one SELECT and return all of its rows."""
        self._refuse_closed()
        text = self.spelling.of(statement, parameters)
        return self._tidied(self._all(text, parameters))

    def stream(
        self, statement: str, parameters: Sequence[object] = (), *, batch_rows: int = 16_384
    ) -> Iterator[pa.RecordBatch]:
        """Yield the committed rows in batches, one of the driver's in memory at a time."""
        self._refuse_closed()
        text = self.spelling.of(statement, parameters)
        for rows in self._pieces(text, parameters, batch_rows):
            for batch in self._tidied(rows).to_batches(max_chunksize=batch_rows):
                if batch.num_rows:
                    yield batch

    @abstractmethod
    def _all(self, text: str, values: Sequence[object]) -> pa.Table:
        """Return all rows of one SELECT, as this session sees them."""

    @abstractmethod
    def _pieces(
        self, text: str, values: Sequence[object], batch_rows: int
    ) -> Iterator[pa.Table | pa.RecordBatch]:
        """Yield the committed rows of one SELECT as the driver hands them out."""

    def _tidied(self, rows: pa.Table | pa.RecordBatch) -> pa.Table:
        """Give columns our names and the types in which every engine's rows arrive."""
        table = pa.Table.from_batches([rows]) if isinstance(rows, pa.RecordBatch) else rows
        names = [self.spelling.unfolded(name) for name in table.column_names]
        schema = pa.schema(
            [(name, self._kind(kind)) for name, kind in zip(names, table.schema.types, strict=True)]
        )
        # Unsafe only in that nanoseconds are cut off.
        return table.rename_columns(names).cast(schema, safe=False)

    def _kind(self, kind: pa.DataType) -> pa.DataType:
        if isinstance(kind, pa.TimestampType):
            zone = "UTC" if kind.tz and not self.INSTANTS_HAVE_ZONE else None
            return pa.timestamp("us", zone)
        if isinstance(kind, pa.Decimal128Type):
            is_whole = kind.scale == 0 and kind.precision <= _DIGITS_OF_INT64
            return pa.int64() if is_whole else pa.float64()
        if pa.types.is_integer(kind):
            return pa.int64() if self.WIDTHS_VARY else kind
        if pa.types.is_date(kind):
            return pa.date32()
        if pa.types.is_large_string(kind) or pa.types.is_null(kind):
            return pa.string()
        return kind

"""PostgreSQL's types as Arrow's, and tables as the CSV that COPY speaks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.csv as pacsv

from fed_audience.errors import WarehouseError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from psycopg import Column

_NUMERIC: Final = 1700
_TEXT: Final = frozenset({25, 1043, 1042})  # text, character varying, character
_PLAIN: Final[dict[int, pa.DataType]] = {
    16: pa.bool_(),
    20: pa.int64(),
    21: pa.int16(),
    23: pa.int32(),
    700: pa.float32(),
    701: pa.float64(),
    1082: pa.date32(),
    1114: pa.timestamp("us"),
    1184: pa.timestamp("us", "UTC"),
}
_DIGITS_OF_INT64: Final = 18
_ROWS_AT_ONCE: Final = 65_536


def arrow_type(column: Column) -> pa.DataType:
    """Return the type in which ``column`` arrives.

    A numeric without decimals that fits is a whole number, any other a double. What Arrow has no
    simple type for (uuid, json, an enumeration) arrives as its text.
    """
    if column.type_code == _NUMERIC:
        digits, decimals = column.precision, column.scale
        is_whole = digits is not None and digits <= _DIGITS_OF_INT64 and decimals == 0
        return pa.int64() if is_whole else pa.float64()
    return _PLAIN.get(column.type_code, pa.string())


def cast_for_stream(column: Column) -> str | None:
    """Return the type that the server must cast ``column`` to, so that it arrives as above."""
    if column.type_code == _NUMERIC:
        return "bigint" if arrow_type(column) == pa.int64() else "double precision"
    is_plain = column.type_code in _PLAIN or column.type_code in _TEXT
    return None if is_plain else "text"


def table_of_csv(text: pa.Buffer, schema: pa.Schema) -> pa.Table:
    """Read what COPY wrote in CSV: unquoted and empty is NULL, quoted and empty is a text."""
    if not text.size:
        return schema.empty_table()
    # Names may repeat in a result, not in a reading of CSV.
    places = [str(place) for place in range(len(schema))]
    try:
        table = pacsv.read_csv(
            pa.BufferReader(text),  # type: ignore[arg-type] # it is a file to read
            read_options=pacsv.ReadOptions(column_names=places),
            parse_options=pacsv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
            convert_options=pacsv.ConvertOptions(
                column_types=dict(zip(places, schema.types, strict=True)),
                null_values=[""],
                true_values=["t"],
                false_values=["f"],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid:
        # Arrow quotes the value.
        raise WarehouseError(
            "a value of the result has no counterpart in Arrow",
            limit="finite times between the years 1 and 9999, whole numbers of 64 bits",
            looked=", ".join(schema.names[:20]),
            fix="replace such values, for example 'infinity', in the relation that is read",
        ) from None
    return table.rename_columns(schema.names)


def csv_of_table(rows: pa.Table) -> Iterator[pa.Buffer]:
    """Yield ``rows`` as COPY reads CSV, some thousand rows at a time."""
    options = pacsv.WriteOptions(include_header=False, quoting_style="all_valid")
    for batch in rows.to_batches(_ROWS_AT_ONCE):
        sink = pa.BufferOutputStream()
        pacsv.write_csv(_plain(batch), sink, options)
        yield sink.getvalue()


def schema_of(columns: Iterable[Column]) -> pa.Schema:
    """Return the schema in which a result with ``columns`` arrives."""
    return pa.schema([(column.name, arrow_type(column)) for column in columns])


def _plain(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Give dictionaries their values, which the writer of CSV asks for."""
    columns = [
        column.dictionary_decode() if isinstance(column, pa.DictionaryArray) else column
        for column in batch.columns
    ]
    return pa.record_batch(columns, names=batch.schema.names)

"""Tables as CSV or Parquet bytes, and back."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from fed_audience.errors import DestinationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TableFormat = Literal["csv", "parquet"]

# A cell that a spreadsheet would compute. A bare signed number, as a phone in E.164, is harmless.
_FORMULA = r"^[\t\r\n ]*[=+\-@|\x{FF1D}\x{FF0B}\x{FF0D}\x{FF20}]"
_SIGNED_NUMBER = r"^[+-][0-9]+([.,][0-9]+)?$"


def table_of(rows: Sequence[Mapping[str, object]], columns: Sequence[str]) -> pa.Table:
    """Return the rows as a table; raises DestinationError for a column of mixed types."""
    arrays = []
    for column in columns:
        values = [row.get(column) for row in rows]
        try:
            arrays.append(pa.array(values))  # type: ignore[arg-type]  # any plain value
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            raise DestinationError(
                f"attribute '{column}' holds values of different types",
                fix="cast it to one type in the audience's query",
            ) from None
    return pa.table(dict(zip(columns, arrays, strict=True)))


def encode(table: pa.Table, format_: TableFormat) -> bytes:
    """Return the table's bytes; the same table gives the same bytes."""
    sink = pa.BufferOutputStream()
    if format_ == "csv":
        pa_csv.write_csv(_neutralised(table), sink)
    else:
        pq.write_table(table, sink, compression="zstd")
    return sink.getvalue().to_pybytes()


def decode(content: bytes, format_: TableFormat) -> pa.Table:
    """Read what ``encode`` wrote; CSV columns come back as text."""
    if format_ == "parquet":
        return pq.read_table(pa.BufferReader(content))
    header = pa_csv.open_csv(BytesIO(content)).schema.names
    return pa_csv.read_csv(
        BytesIO(content),
        parse_options=pa_csv.ParseOptions(newlines_in_values=True),
        convert_options=pa_csv.ConvertOptions(
            column_types=dict.fromkeys(header, pa.string()),
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            null_values=[""],
        ),
    )


def _neutralised(table: pa.Table) -> pa.Table:
    """Put an apostrophe before text that a spreadsheet would take for a formula."""
    for index, field in enumerate(table.schema):
        if not pa.types.is_string(field.type):
            continue
        column = table.column(index)
        risky = pc.and_not(
            pc.match_substring_regex(column, _FORMULA),
            pc.match_substring_regex(column, _SIGNED_NUMBER),
        )
        marked = pc.replace_substring_regex(
            column, pattern="^", replacement="'", max_replacements=1
        )
        table = table.set_column(index, field, pc.if_else(risky, marked, column))
    return table

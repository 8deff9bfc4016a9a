"""Reads one table from CSV, gzipped CSV or Parquet, as a person would read it.

Separator, header and encoding are found out; a column becomes numbers or categories in
``column_types``. Whatever was decided on the way is kept as notes for the user.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import zlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from fed_audience.errors import DataError
from fed_audience.simulate.column_types import is_missing, is_number, typed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_SEPARATORS: Final = (",", ";", "\t", "|")
_SAMPLE_BYTES: Final = 2**18
_SAMPLE_LINES: Final = 200
_GZIP: Final = b"\x1f\x8b"
_PARQUET: Final = b"PAR1"
_UTF16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_ZIP: Final = b"PK\x03\x04"


@dataclass(frozen=True, slots=True)
class RawTable:
    """A table whose columns are float64 (numbers) or string (categories); null is missing.

    ``test_from`` is the row at which a separate test file starts, ``notes`` what was decided.
    """

    columns: pa.Table
    notes: tuple[str, ...]
    test_from: int | None = None


@dataclass(frozen=True, slots=True)
class _File:
    table: pa.Table
    notes: list[str]
    separator: str = ""


def read_table(path: Path, test: Path | None = None, *, expected: Sequence[str] = ()) -> RawTable:
    """Read ``path``, and ``test`` below it: both together decide what kind a column is.

    ``expected`` are column names that, if seen in line 1, prove it a header. A test file without
    a header takes the names of ``path``. Raises DataError for a file that is missing, empty,
    torn, of another format, has two columns of one name, or lacks columns of the other.
    """
    file = _read(path, expected, ())
    table, notes = file.table, file.notes
    if test is not None:
        other = _read(test, [*expected, *table.column_names], table.column_names).table
        if lacking := sorted(set(table.column_names) - set(other.column_names)):
            raise DataError(
                "the test file lacks columns of the training file",
                value=", ".join(lacking[:5]),
                looked=str(test),
                fix="give a test file with the same columns",
            )
        try:
            table = pa.concat_tables(
                [table, other.select(table.column_names)], promote_options="permissive"
            )
        except pa.ArrowInvalid as error:
            raise DataError(
                "a column has one type in the training file and another in the test file",
                value=str(error).split("\n")[0][:120],
                looked=str(test),
                fix="store both files with the same types",
            ) from error
    columns: dict[str, Any] = {}
    for name in table.column_names:
        columns[name], note = typed(name, table.column(name), separator=file.separator)
        notes += [note] if note else []
    return RawTable(pa.table(columns), tuple(notes), file.table.num_rows if test else None)


def _read(path: Path, expected: Sequence[str], names: Sequence[str]) -> _File:
    try:
        with path.open("rb") as opened:
            magic = opened.read(4)
        if magic == _PARQUET:
            file = _File(pyarrow.parquet.read_table(path), [])
        else:
            file = _read_csv(path, magic, expected, names)
    except (OSError, EOFError, zlib.error, pa.ArrowInvalid, UnicodeError) as error:
        said = str(error).replace(str(path), path.name).split("\n")[0].split(". ")[0]
        reason = getattr(error, "strerror", None) or said[:120]
        raise DataError(
            "the table cannot be read",
            value=reason,
            looked=str(path),
            fix="give the path of a CSV, gzipped CSV or Parquet file that is whole",
        ) from error
    if not file.table.num_rows:
        raise DataError("the table has no rows", looked=str(path), fix="give a file with rows")
    for name, times in Counter(file.table.column_names).items():
        if times > 1:
            raise DataError(
                "two columns have the same name",
                value=repr(name),
                looked=str(path),
                fix="rename one of them",
            )
    return file


def _read_csv(path: Path, magic: bytes, expected: Sequence[str], names: Sequence[str]) -> _File:
    if magic.startswith(_ZIP):
        raise DataError(
            "this is a ZIP archive or an Excel workbook",
            looked=str(path),
            limit="CSV, gzipped CSV or Parquet",
            fix="unpack it, or save the sheet as CSV",
        )
    packed = magic.startswith(_GZIP)
    with gzip.open(path) if packed else path.open("rb") as opened:
        sample = opened.read(_SAMPLE_BYTES)
    if not sample:
        raise DataError("the file is empty", looked=str(path), fix="give a file with rows")
    if b"\0" in sample and not sample.startswith(_UTF16):
        raise DataError(
            "this is a binary file, not a table of text",
            looked=str(path),
            limit="CSV, gzipped CSV or Parquet",
            fix="export it as CSV",
        )
    for encoding in _encodings(sample):
        try:
            return _read_text(path, sample, encoding, expected, names, packed=packed)
        except (UnicodeDecodeError, pa.ArrowInvalid) as error:
            if not isinstance(error, UnicodeDecodeError) and "UTF8" not in str(error):
                raise
    raise pa.ArrowInvalid("text in an unknown encoding")


def _read_text(
    path: Path,
    sample: bytes,
    encoding: str,
    expected: Sequence[str],
    names: Sequence[str],
    *,
    packed: bool,
) -> _File:
    notes = [] if encoding == "utf-8" else [f"text is not UTF-8, read as {encoding}"]
    separator, first = _sniff(sample.decode(encoding, "replace").lstrip("\ufeff"), path)
    if separator != ",":
        notes.append(f"values are separated by {separator!r}")
    header = _is_header(first, expected)
    if header:
        first = [name or f"column_{at}" for at, name in enumerate(first, 1)]
    else:
        numbered = [f"column_{at}" for at in range(1, len(first) + 1)]
        first = list(names) if len(names) == len(first) else numbered
        notes.append(f"no header line: columns are called {first[0]} to {first[-1]}")
    torn: list[pyarrow.csv.InvalidRow] = []

    def notice(row: pyarrow.csv.InvalidRow) -> Literal["skip"]:
        torn.append(row)
        return "skip"

    file: Any = pa.OSFile(str(path), "rb")
    stream: Any = pa.CompressedInputStream(file, "gzip") if packed else file
    with file, stream:
        table = pyarrow.csv.read_csv(
            stream,
            # One thread, so that a torn row can be named by its number.
            read_options=pyarrow.csv.ReadOptions(
                use_threads=False,
                encoding=encoding,
                column_names=_positions(len(first)),
                skip_rows=int(header),
            ),
            parse_options=pyarrow.csv.ParseOptions(
                delimiter=separator, newlines_in_values=True, invalid_row_handler=notice
            ),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(_positions(len(first)), pa.string())
            ),
        )
    if torn:
        raise DataError(
            f"row {torn[0].number} has another number of values than the first line",
            value=torn[0].actual_columns,
            limit=torn[0].expected_columns,
            looked=str(path),
            fix="repair that row, or quote the values that hold the separator",
        )
    return _File(table.rename_columns(first), notes, separator)


def _positions(count: int) -> list[str]:
    return [str(i) for i in range(count)]


def _encodings(sample: bytes) -> tuple[str, ...]:
    """Return encodings to try, the likeliest first; only UTF-8 and UTF-16 notice a mistake."""
    if sample.startswith(_UTF16):
        return ("utf-16",)
    # The sample may end inside a character.
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        decoder.decode(sample)
    except UnicodeDecodeError:
        return ("cp1252", "latin-1")
    return ("utf-8", "cp1252", "latin-1")


def _sniff(sample: str, path: Path) -> tuple[str, list[str]]:
    """Return the separator that cuts most lines into one number of fields, and the first line."""
    best: tuple[float, int, str, list[str]] | None = None
    for separator in _SEPARATORS:
        try:
            lines = io.StringIO(sample, newline=None)  # as pyarrow: \n, \r\n or \r ends a line
            rows = [row for row in csv.reader(lines, delimiter=separator) if row]
        except csv.Error:
            continue
        # The last line of the sample may be torn.
        rows = rows[: max(1, min(len(rows) - 1, _SAMPLE_LINES))]
        if not rows or len(rows[0]) < 2:  # noqa: PLR2004 - a table has two columns
            continue
        same = sum(len(row) == len(rows[0]) for row in rows) / len(rows)
        candidate = (same, len(rows[0]), separator, [field.strip() for field in rows[0]])
        if best is None or candidate[:2] > best[:2]:
            best = candidate
    if best is None:
        raise DataError(
            "no table found: no line has two values",
            looked=str(path),
            limit="values separated by comma, semicolon, tab or |",
            fix="check that this is the right file",
        )
    return best[2], best[3]


def _is_header(first: Sequence[str], expected: Sequence[str]) -> bool:
    if any(name in first for name in expected):
        return True
    # An index that pandas wrote has no name, so an empty field does not speak against a header.
    return not any(is_number(field) or (field and is_missing(field)) for field in first)

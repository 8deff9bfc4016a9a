"""One table, in whatever everyday form it comes."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fed_audience.errors import DataError
from fed_audience.simulate.reading import read_table

if TYPE_CHECKING:
    from pathlib import Path

ROWS = {"age": [39.0, 50.0], "job": ["clerk", None]}


def write(folder: Path, text: str | bytes, name: str = "t.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_any_usual_separator(tmp_path: Path, separator: str) -> None:
    text = "age,job\n39,clerk\n50,?\n".replace(",", separator)
    table = read_table(write(tmp_path, text))
    assert table.columns.to_pydict() == ROWS
    assert any("separated" in note for note in table.notes) == (separator != ",")


def test_a_semicolon_file_with_decimal_commas(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, "price;size\n1,5;L\n2,25;M\n"))
    assert table.columns.to_pydict() == {"price": [1.5, 2.25], "size": ["L", "M"]}


def test_quotes_hold_separators_and_line_breaks(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, 'a,b\n"x, y",1\n"two\nlines",2\n'))
    assert table.columns.to_pydict() == {"a": ["x, y", "two\nlines"], "b": [1.0, 2.0]}


def test_gzip_is_known_by_its_bytes_not_its_name(tmp_path: Path) -> None:
    path = write(tmp_path, gzip.compress(b"age,job\n39,clerk\n50,\n"), "t.data")
    assert read_table(path).columns.to_pydict() == ROWS


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"age": [39, 50], "job": ["clerk", None]}), path)
    assert read_table(path).columns.to_pydict() == ROWS


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path) -> None:
    path = write(tmp_path, b"\xef\xbb\xbfage,job\n39,clerk\n50,\n")
    assert read_table(path).columns.column_names == ["age", "job"]


def test_old_encodings_are_read_and_said(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, "stadt,n\nKöln,1\nBonn,2\n".encode("cp1252")))
    assert table.columns["stadt"].to_pylist() == ["Köln", "Bonn"]
    assert "text is not UTF-8, read as cp1252" in table.notes


def test_an_encoding_that_shows_late_is_found_all_the_same(tmp_path: Path) -> None:
    text = "stadt,n\n" + "Bonn,1\n" * 50_000
    table = read_table(write(tmp_path, text.encode() + "K\xf6ln,2\n".encode("latin-1")))
    assert table.columns["stadt"][-1].as_py() == "Köln"
    undefined = read_table(write(tmp_path, b"a,n\nx\x81y,1\nz,2\n"))
    assert undefined.columns["a"].to_pylist() == ["x\x81y", "z"]


def test_text_from_a_spreadsheet_in_utf_16(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, "stadt\tn\nKöln\t1\nBonn\t2\n".encode("utf-16")))
    assert table.columns.to_pydict() == {"stadt": ["Köln", "Bonn"], "n": [1.0, 2.0]}


def test_an_unnamed_index_column_does_not_hide_the_header(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, ",age,job\n0,39,clerk\n1,50,\n"))
    assert table.columns.to_pydict() == {"column_1": [0.0, 1.0], **ROWS}


def test_a_file_without_a_header_gets_numbered_columns(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, "39, clerk\n50, ?\n"))
    assert table.columns.to_pydict() == {"column_1": [39.0, 50.0], "column_2": ["clerk", None]}
    assert table.notes == ("no header line: columns are called column_1 to column_2",)


def test_an_expected_name_proves_a_header_that_looks_like_data(tmp_path: Path) -> None:
    path = write(tmp_path, "y,2019,2020\n1,5,6\n")
    assert read_table(path).columns.column_names == ["column_1", "column_2", "column_3"]
    assert read_table(path, expected=["y"]).columns.column_names == ["y", "2019", "2020"]


def test_a_test_file_is_typed_together_with_the_training_file(tmp_path: Path) -> None:
    train = write(tmp_path, "a,b\n1,x\n2,y\n", "train.csv")
    test = write(tmp_path, "b,a\nz,oops\n", "test.csv")
    table = read_table(train, test)
    assert table.columns.to_pydict() == {"a": ["1", "2", "oops"], "b": ["x", "y", "z"]}
    assert table.test_from == 2


def test_a_test_file_without_a_header_takes_the_names(tmp_path: Path) -> None:
    train = write(tmp_path, "39,clerk\n50,?\n", "train.csv")
    table = read_table(train, write(tmp_path, "7,cook\n8,cook\n", "test.csv"))
    assert table.columns["column_2"].to_pylist() == ["clerk", None, "cook", "cook"]


def test_lines_may_end_as_on_an_old_machine(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, b"a,b\r1,x\r2,y\r"))
    assert table.columns["b"].to_pylist() == ["x", "y"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "the file is empty"),
        (
            b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03",
            "cannot be read; value: Compressed file ended",
        ),
        (b"ab,\x00cd\n\xff,1\n", "a binary file, not a table of text"),
        (b"\xff,\x81\n\x82,\x83,\x84\n", "row 2 has another number of values"),
        ("just words\nand more\n", "no table found"),
        ("a,b\n", "no rows"),
        ("a,b,a\n1,2,3\n", "two columns have the same name; value: 'a'"),
        ("a,b\n1,2\n1,2,3\n", "row 3 has another number of values than the first line; value: 3"),
        (b"PK\x03\x04rest", "ZIP archive or an Excel workbook"),
        (b"\x1f\x8b\x08broken", "cannot be read"),
        (b"PAR1broken", "cannot be read"),
    ],
)
def test_what_is_no_table_is_refused_in_one_line(
    tmp_path: Path, text: str | bytes, complaint: str
) -> None:
    with pytest.raises(DataError, match=complaint) as error:
        read_table(write(tmp_path, text))
    assert "\n" not in str(error.value)
    assert "t.csv" in str(error.value)


def test_a_torn_row_does_not_show_its_values(tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        read_table(write(tmp_path, "a,b\n1,2\nanna@example.org,secret,3\n"))
    assert "anna" not in str(error.value)


def test_a_torn_gzip_file_is_refused(tmp_path: Path) -> None:
    whole = gzip.compress(b"a,b\n" + b"".join(b"%d,%d\n" % (i, i * 7) for i in range(200_000)))
    with pytest.raises(DataError, match="cannot be read"):
        read_table(write(tmp_path, whole[: len(whole) // 2]))


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(DataError, match="give the path"):
            read_table(path)


def test_a_test_file_that_lacks_columns_is_refused(tmp_path: Path) -> None:
    train = write(tmp_path, "a,b\n1,x\n", "train.csv")
    with pytest.raises(DataError, match=r"lacks columns.*value: b"):
        read_table(train, write(tmp_path, "a,c\n1,x\n", "test.csv"))

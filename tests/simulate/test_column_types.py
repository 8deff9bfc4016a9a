"""A column becomes what a person would call it."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from fed_audience.simulate.column_types import as_text, typed


def read(values: list[Any], separator: str = ",") -> tuple[list[Any], str | None]:
    column, note = typed("c", pa.chunked_array([pa.array(values)]), separator=separator)
    assert pa.types.is_float64(column.type) or pa.types.is_string(column.type)
    return column.to_pylist(), note


@pytest.mark.parametrize("gap", ["", " ", "?", " ?", "NA", "N/A", "null", "NULL", "NaN", r"\N"])
def test_the_usual_signs_of_a_gap_are_missing_among_numbers_and_words(gap: str) -> None:
    assert read(["1", gap, "2.5"]) == ([1.0, None, 2.5], None)
    assert read(["red", gap]) == (["red", None], None)


def test_spaces_around_values_do_not_count() -> None:
    assert read([" 1", "2 "]) == ([1.0, 2.0], None)
    assert read([" red", "red "]) == (["red", "red"], None)


@pytest.mark.parametrize("text", ["1e-3", "+5", "-0.5", ".5", "inf", "-inf", "007"])
def test_numbers_in_every_spelling(text: str) -> None:
    assert read([text]) == ([float(text)], None)


def test_a_word_among_words_stays_and_among_numbers_is_a_gap() -> None:
    assert read(["none", "phone"])[0] == ["none", "phone"]
    values, note = read(["1", "none", "-"])
    assert values == [1.0, None, None]
    assert note == "column 'c' holds numbers; ['-', 'none'] read as missing"


@pytest.mark.parametrize(
    ("values", "separator", "expected", "word"),
    [
        (["1,5", "2,25"], ",", [1.5, 2.25], "decimal commas"),
        (["1.234,5", "7"], ",", [1234.5, 7.0], "decimal commas"),
        (["1,234", "2,000"], ",", [1234.0, 2000.0], "thousands"),
        (["1,234.5", "12"], ",", [1234.5, 12.0], "thousands"),
        (["1,234", "2,000"], ";", [1.234, 2.0], "decimal commas"),
    ],
)
def test_commas_in_numbers_where_they_are_clear(
    values: list[str], separator: str, expected: list[float], word: str
) -> None:
    found, note = read(values, separator)
    assert found == expected
    assert note is not None
    assert word in note


def test_commas_in_words_are_left_alone() -> None:
    assert read(["1,5 kg", "2"]) == (["1,5 kg", "2"], None)


def test_dates_become_days() -> None:
    values, note = read(["1970-01-02", "1971-01-01T12:00:00Z", None])
    assert values == [1.0, 365.5, None]
    assert note == "column 'c' is a date: read as days since 1970-01-01"
    assert read(["2024-13-01"])[0] == ["2024-13-01"]


def test_typed_columns_keep_their_kind() -> None:
    assert read([True, None, False]) == ([1.0, None, 0.0], None)
    assert read([1, 2]) == ([1.0, 2.0], None)
    assert read([1.5, float("nan")]) == ([1.5, None], None)
    values, note = read([[1], [2]])
    assert values == [None, None]
    assert note is not None
    assert "cannot be used" in note


def test_dictionaries_are_read_through() -> None:
    column = pa.chunked_array([pa.array(["a", "b", "a"]).dictionary_encode()])
    assert typed("c", column)[0].to_pylist() == ["a", "b", "a"]


def test_whole_numbers_are_written_without_a_point() -> None:
    column, _ = typed("c", pa.chunked_array([pa.array(["1", "2.5", "?"])]))
    assert as_text(column).to_pylist() == ["1", "2.5", None]
    endless = pa.chunked_array([pa.array([float("inf"), -3.0])])
    assert as_text(endless).to_pylist() == ["inf", "-3"]

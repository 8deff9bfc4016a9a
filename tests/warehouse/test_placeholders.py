"""A ``?`` is a placeholder only where PostgreSQL would read one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fed_audience.errors import WarehouseError
from fed_audience.warehouse.postgres.placeholders import composed, numbered

OPAQUE = [
    "'?'",
    "'it''s ?'",
    "E'\\'?'",
    '"a?"',
    '"a""?"',
    "$$ ? $$",
    "$tag$ ? $$ ? $tag$",
    "-- ?\n",
    "/* ? */",
    "/* a /* ? */ ? */",
]
PLAIN = ["select ", "a$1 ", "x + ", ", ", "\n", "1 ", "$2 "]


@given(st.lists(st.sampled_from([*OPAQUE, *PLAIN, "?"])))
def test_placeholders_outside_quotes_and_comments_are_numbered(pieces: list[str]) -> None:
    number = 0
    expected = []
    for piece in pieces:
        number += piece == "?"
        expected.append(f" ${number} " if piece == "?" else f" {piece} ")
    statement = "".join(f" {piece} " for piece in pieces)
    assert numbered(statement, [None] * number) == "".join(expected)


@pytest.mark.parametrize("statement", ["'?", '"?', "/* ? ", "$x$ ?"])
def test_an_open_quote_is_left_to_the_server_to_refuse(statement: str) -> None:
    values = [None] * statement.count("?")
    open_ended = "/*" in statement
    assert numbered(statement, [] if open_ended else values)


def test_values_become_literals_that_the_server_reads_back() -> None:
    text = composed("select ?, ?, ?", ["it's", None, 7]).as_string(None)
    assert text == "select 'it''s', NULL, 7"


def test_the_numbers_must_agree() -> None:
    with pytest.raises(WarehouseError, match="2 placeholders, 1 values"):
        numbered("select ?, ?", [1])

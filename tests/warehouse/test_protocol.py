"""The name of a relation, into SQL and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fed_audience.errors import WarehouseError
from fed_audience.warehouse.protocol import Relation

names = st.text(min_size=1, max_size=12)


@given(names, names, st.none() | names)
def test_parsing_undoes_quoting(schema: str, name: str, database: str | None) -> None:
    relation = Relation(schema, name, database)
    assert Relation.parse(relation.sql()) == relation


def test_a_quote_in_a_name_cannot_end_it() -> None:
    assert Relation("s", 'x"; drop table y; --').sql() == '"s"."x""; drop table y; --"'


def test_unquoted_names_are_read_too() -> None:
    assert Relation.parse("brand.main.fed_training") == Relation("main", "fed_training", "brand")
    assert Relation.parse('main."Fed Training"') == Relation("main", "Fed Training")


@pytest.mark.parametrize(
    "text", ["", "alone", "a.b.c.d", "a.b; drop table c", "a.", ".a", 'a."b', "a.b c", 'a.""']
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(WarehouseError, match="not the name of a relation"):
        Relation.parse(text)

"""Our statements in the words of each engine, read by a parser of its dialect."""

from __future__ import annotations

import pytest
import sqlglot
from hypothesis import given
from hypothesis import strategies as st
from sqlglot import exp

from fed_audience.errors import WarehouseError
from fed_audience.warehouse.protocol import Relation
from fed_audience.warehouse.replacing import merge_statement
from fed_audience.warehouse.spelling import SNOWFLAKE, SPARK, SPELLINGS

SCORES = Relation("fed_audience", "scores")
STATEMENTS: dict[type[exp.Expr], str] = {
    exp.Update: 'update "fed_audience"."training_requests" set status = \'claimed\', claimed_at = ?'
    " where request_id = ? and claimed_at is not distinct from ?",
    exp.Select: 'select cast("customer_id" as varchar) as customer, \'"?"\' as said,'
    ' cast(null as double precision) as x from "main"."t"'
    " where id in (select unnest(?::varchar[])) and name = ? -- why ?",
    exp.Create: 'create temp table "fed_audience"."kept_0" (customer_id varchar)',
    exp.Delete: 'delete from "fed_audience"."scores" where model_name = ?',
    exp.Merge: merge_statement(SCORES, Relation("fed_audience", "new"), ["a", "customer_id"], "a"),
}
PLACEHOLDERS: dict[type[exp.Expr], int] = {
    exp.Update: 3,
    exp.Select: 2,
    exp.Create: 0,
    exp.Delete: 1,
    exp.Merge: 1,
}


# Snowflake has transactions instead, and no `not matched by source`.
ASKED = [
    (engine, kind)
    for engine in SPELLINGS
    for kind in STATEMENTS
    if (engine, kind) != ("snowflake", exp.Merge)
]


@pytest.mark.parametrize(("engine", "kind"), ASKED)
def test_every_statement_is_one_of_the_engine(engine: str, kind: type[exp.Expr]) -> None:
    spelled = SPELLINGS[engine].of(STATEMENTS[kind], [None] * PLACEHOLDERS[kind])
    (parsed,) = sqlglot.parse(spelled, dialect=engine)
    assert isinstance(parsed, kind)
    assert len(list(parsed.find_all(exp.Placeholder))) == PLACEHOLDERS[kind]


@pytest.mark.parametrize("engine", SPELLINGS)
def test_tables_keep_their_names(engine: str) -> None:
    (parsed,) = sqlglot.parse(SPELLINGS[engine].of('select 1 from "Main"."people"'), dialect=engine)
    assert parsed is not None
    (table,) = parsed.find_all(exp.Table)
    assert (table.db, table.name.lower()) == ("Main", "people")
    assert table.this.quoted


def test_words_in_texts_names_and_comments_stay() -> None:
    statement = "select 'varchar ?' as a, \"varchar\" -- varchar ?\n, cast(? as varchar) /* ? */"
    assert SPARK.of(statement, [1]) == (
        "select 'varchar ?' as a, `varchar` -- varchar ?\n, cast(? as string) /* ? */"
    )


@pytest.mark.parametrize(("name", "kept"), [("people", "PEOPLE"), ("People", "People")])
def test_snowflake_finds_what_dbt_made_without_quotes(name: str, kept: str) -> None:
    assert SNOWFLAKE.name(name) == f'"{kept}"'
    assert SNOWFLAKE.unfolded(kept) == name


@given(st.text(min_size=1, max_size=12))
def test_a_quote_in_a_name_cannot_end_it(name: str) -> None:
    for spelling in SPELLINGS.values():
        quoted = spelling.name(name)
        inner = quoted[1:-1]
        assert inner.replace(spelling.quote * 2, "").count(spelling.quote) == 0
        assert quoted[0] == quoted[-1] == spelling.quote


def test_the_numbers_must_agree() -> None:
    with pytest.raises(WarehouseError, match="2 placeholders, 1 values"):
        SPARK.of("select ?, ?", [1])

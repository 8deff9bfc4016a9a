"""The package in the words of engines that are not run here, read by a parser of each."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest
import sqlglot
from sqlglot import exp

from fed_audience.warehouse.dbt import package_path
from tests.dbt_package.rendering import DISPATCH, CompilerError, models, package

CONTROL = (
    "create_training_requests",
    "create_training_runs",
    "create_model_registry",
    "create_scores",
    "create_audience_members",
)
FOREIGN = {
    "bigquery": r"double precision|varchar|bigint|at time zone|interval '",
    "spark": r"double precision|varchar|at time zone|primary key",
    "databricks": r"double precision|varchar|at time zone|primary key",
    "snowflake": r"epoch_us|make_timestamp|float64",
    "duckdb": r"float64|datetime_add",
    "postgres": r"float64|datetime_add|epoch_us",
}
"""Words that the engine does not know, and another does."""

REFUSED = {
    (engine, f"stg_{source}__order_items")
    for engine in ("spark", "databricks")
    for source in ("rudderstack", "segment")
}
"""Mappings that take order lines out of JSON, which is said where it is not written yet."""


def parsed(statement: str, engine: str) -> exp.Expr:
    (found,) = sqlglot.parse(statement, dialect=engine)
    assert found is not None
    return found


@pytest.mark.parametrize("engine", DISPATCH)
def test_every_model_is_a_query(engine: str) -> None:
    found = dict(models(engine))
    files = {file.stem for file in (package_path() / "models").rglob("*.sql")}
    assert found.keys() == files
    for name, statement in found.items():
        if isinstance(statement, CompilerError):
            assert (engine, name) in REFUSED, name
            assert "Load them as raw table order_items" in str(statement)
            continue
        assert isinstance(parsed(statement, engine), exp.Query), name
        without_comments = re.sub(r"--[^\n]*", "", statement)
        assert not re.search(FOREIGN[engine], without_comments, re.IGNORECASE), name


@pytest.mark.parametrize("engine", DISPATCH)
def test_every_control_table_can_be_created(engine: str) -> None:
    macros = package(engine)
    for name in CONTROL:
        statement = macros.in_this_engine(getattr(macros, name)())
        found = parsed(statement, engine)
        assert isinstance(found, exp.Create), name
        assert len(list(found.find_all(exp.ColumnDef))) >= 6, name
        assert not re.search(FOREIGN[engine], statement, re.IGNORECASE), name


@pytest.mark.parametrize("engine", DISPATCH)
@pytest.mark.parametrize(
    ("waiting", "kind"), [([], exp.Insert), ([("r1", "pending", "2026-10-01")], exp.Update)]
)
def test_the_hook_of_a_training_table_is_one_statement(
    engine: str, waiting: list[tuple[str, ...]], kind: type[exp.Expr]
) -> None:
    asked: list[str] = []

    def run_query(statement: str) -> object:
        asked.append(statement)
        rows = [(5, 2, 0, 1, 0)] if len(asked) == 1 else waiting
        return type("Result", (), {"rows": rows})

    hook = package(engine, run_query=run_query).request_training()
    assert isinstance(parsed(hook, engine), kind)
    assert len(asked) >= 2
    for statement in asked:
        assert isinstance(parsed(statement, engine), exp.Query)


@pytest.mark.parametrize("engine", DISPATCH)
def test_sets_and_clean_up_are_statements(engine: str) -> None:
    macros = package(engine)
    for made in (macros.training_set("features"), macros.scoring_set("features")):
        assert isinstance(parsed(f"with features as (select 1 as one) {made}", engine), exp.Query)
    assert isinstance(parsed(macros.delete_withdrawn_scores(), engine), exp.Delete)


@pytest.mark.parametrize("engine", ["snowflake", "bigquery", "spark", "databricks"])
@pytest.mark.parametrize("kind", ["timestamp", "timestamp with time zone", "varchar", "string"])
def test_instants_are_read_as_utc(engine: str, kind: str) -> None:
    cast = package(engine).in_utc("t.said_at", kind)
    assert isinstance(parsed(f"select {cast} as said_at from t", engine), exp.Select)


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ((0, 0, None, None, 0), "no row has consent to train and share_model"),
        ((90, 1, 1, 1, 0), "all 90 rows have the same label"),
    ],
)
def test_what_cannot_be_trained_is_not_queued_and_says_why(
    facts: tuple[object, ...], says: str
) -> None:
    said: list[str] = []
    macros = package(
        "duckdb",
        run_query=lambda _: SimpleNamespace(rows=[facts]),
        log=lambda line, **_: said.append(line),
    )
    assert macros.request_training().strip() == "select 1"
    assert says in said[-1]


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ((9, 2, 0, 1, 3), "has 3 customers in more than one row"),
        ((9, 3, 0, 2, 0), "label lies in 0..2; a propensity label is 0 or 1"),
    ],
)
def test_what_must_not_be_trained_stops_the_build(facts: tuple[object, ...], says: str) -> None:
    macros = package("duckdb", run_query=lambda _: SimpleNamespace(rows=[facts]))
    with pytest.raises(CompilerError, match=re.escape(says)):
        macros.request_training()

"""Every statement of a scoring is SQL in each dialect, by a parser of that dialect."""

from __future__ import annotations

import re

import pytest
import sqlglot
from sqlglot import exp

from fed_audience.errors import ConfigError
from fed_audience.gbdt.bins import Feature
from fed_audience.gbdt.models.reader import ModelText, read_model
from fed_audience.warehouse.protocol import Relation
from fed_audience.warehouse.sql_scoring import statements
from fed_audience.warehouse.sql_scoring.dialects import DIALECTS, RUN, dialect_of
from fed_audience.warehouse.sql_scoring.prepared_rows import create_codes, create_rows, select_rows
from fed_audience.warehouse.sql_scoring.statements import (
    Places,
    delete_stale,
    insert_scores,
    keep_unscored,
)
from fed_audience.warehouse.sql_scoring.tree_table import create_nodes
from tests.warehouse.sql_scoring.test_scoring_in_warehouse import encoder, trained

COLUMNS = {
    "customer_id": "text",
    "f_city": "text",
    "f_first": "date",
    "f_is_new": "boolean",
    "f_last": "timestamp",
    "f_orders": "bigint",
    "f_spent": "float64",
}


@pytest.fixture(scope="module")
def model() -> ModelText:
    return read_model(trained()[0].model_text)


def rendered(engine: str, model: ModelText) -> dict[str, str]:
    dialect = dialect_of(engine)
    features: dict[int, Feature] = dict(enumerate(encoder().features))
    relation = Relation("analytics", "score_it", "shop")
    scores = dialect.relation(Relation("fed_audience", "scores"))
    places = Places("scratch.fed_rows", scores, "scratch.fed_trees")
    found = {
        "rows": create_rows(dialect, "fed_rows", features),
        "codes": create_codes(dialect, "fed_codes"),
        "trees": create_nodes(dialect, "fed_trees"),
        "select": select_rows(
            dialect,
            relation,
            COLUMNS,
            features,
            entity="customer_id",
            categories="scratch.fed_codes",
            fingerprint="abc",
            among="select subject_id from allowed",
        ),
        "delete": delete_stale(places),
        "keep": keep_unscored(places),
        "case": insert_scores(model, dialect, places)[0],
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(statements, "LONGEST", 1_000)
        found["joins"] = insert_scores(model, dialect, places)[0]
    return found


@pytest.mark.parametrize("engine", DIALECTS)
def test_every_statement_parses(engine: str, model: ModelText) -> None:
    kinds = {"rows": exp.Create, "codes": exp.Create, "trees": exp.Create, "select": exp.Select}
    kinds |= {"delete": exp.Delete, "keep": exp.Delete, "case": exp.Insert, "joins": exp.Insert}
    for name, statement in rendered(engine, model).items():
        (parsed,) = sqlglot.parse(statement, dialect=engine)
        assert isinstance(parsed, kinds[name]), name


@pytest.mark.parametrize("engine", DIALECTS)
def test_names_are_quoted_as_the_engine_does(engine: str, model: ModelText) -> None:
    select = rendered(engine, model)["select"]
    (parsed,) = sqlglot.parse(select, dialect=engine)
    assert parsed is not None
    tables = {table.name for table in parsed.find_all(exp.Table)}
    assert {"score_it", "fed_codes", "allowed"} <= tables
    quote = DIALECTS[engine].quote
    assert f"{quote}score_it{quote}" in select


@pytest.mark.parametrize("engine", DIALECTS)
def test_a_literal_reads_back_to_its_double(engine: str) -> None:
    for value in (0.1, 1e-5, 1930.5, -(2.0**64), 5e-324, 1.7976931348623157e308):
        digits = re.fullmatch(r"'?([-0-9.e+]+)D?'?(?:::\w+)?", DIALECTS[engine].number(value))
        assert digits is not None
        assert float(digits[1]) == value


def test_other_engines_are_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"'?oracle'?.*duckdb, postgres, snowflake"):
        dialect_of("oracle")


def test_the_engines_that_are_run_are_those_of_the_warehouses() -> None:
    assert set(RUN) <= DIALECTS.keys()

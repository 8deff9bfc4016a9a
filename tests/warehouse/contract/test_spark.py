"""What Spark runs beyond the contract, and what it reads though its plain tables cannot do it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from fed_audience.gbdt.models.reader import read_model
from fed_audience.warehouse.control import control
from fed_audience.warehouse.protocol import Relation, Warehouse
from fed_audience.warehouse.replacing import merge_statement
from fed_audience.warehouse.spelling import SPARK
from fed_audience.warehouse.sql_scoring.dialects import dialect_of
from fed_audience.warehouse.sql_scoring.prepared_rows import create_codes, create_rows, select_rows
from fed_audience.warehouse.sql_scoring.run import _codes
from fed_audience.warehouse.sql_scoring.statements import (
    Places,
    delete_stale,
    insert_scores,
    keep_unscored,
)
from fed_audience.warehouse.targets import SparkTarget
from tests.dbt_package.rendering import package
from tests.warehouse.contract.cloud_engines import THEIR_WARNINGS, emptied_spark
from tests.warehouse.contract.test_contract import with_features
from tests.warehouse.sql_scoring.test_scoring_in_warehouse import (
    FEATURES,
    KEY,
    NOW,
    encoder,
    on_cuts,
    scores,
    trained,
)

pytestmark = [pytest.mark.xdist_group("engines"), *THEIR_WARNINGS]

UPDATES = (
    "update {0} set status = 'claimed', claimed_by = ?, claimed_at = ? where request_id = ?",
    "update {0} set claimed_at = ? where status = ? and claimed_at is not distinct from ?",
    "update {0} set status = ?, detail = ? where status in ('pending', 'claimed')",
    "delete from {0} where request_id = ?",
)


@pytest.fixture
def warehouse(spark: SparkTarget) -> Iterator[Warehouse]:
    opened = emptied_spark(spark)
    yield opened
    opened.close()


def read_by_spark(statement: str) -> str:
    """Let Spark's own parser read ``statement``; return what it took it for."""
    from pyspark.sql import SparkSession  # noqa: PLC0415 - where it is installed

    session: Any = SparkSession.getActiveSession()
    plan = session._jsparkSession.sessionState().sqlParser().parsePlan(statement)
    return str(plan.toString()).split(" ", maxsplit=1)[0].strip("'")


def test_spark_scores_as_lightgbm_does(warehouse: Warehouse) -> None:
    with_features(warehouse)
    dialect, held = dialect_of("spark"), trained()
    model = read_model(held[0].model_text)
    features = dict(enumerate(encoder().features))
    rows, codes = (dialect.relation(warehouse.temporary(name)) for name in ("rows", "codes"))
    places = Places(rows, dialect.relation(control("scores")), "no_trees")
    warehouse.execute(create_rows(dialect, rows, features))
    warehouse.execute(create_codes(dialect, codes))
    columns = warehouse.columns(FEATURES)
    known = _codes(warehouse, FEATURES, columns, features, encoder(), KEY)
    warehouse.insert(warehouse.temporary("codes"), known)
    selected = select_rows(
        dialect,
        FEATURES,
        columns,
        features,
        entity="customer_id",
        categories=codes,
        fingerprint="0",
    )
    warehouse.execute(f"insert into {rows} {selected}")
    macros = package("spark")
    columns_of_scores = macros.in_this_engine(macros.create_scores()).partition("(")[2]
    warehouse.execute(
        f"create table fed_audience.scores ({columns_of_scores}".partition(" using")[0]
    )
    statement, _ = insert_scores(model, dialect, places)
    warehouse.execute(statement, ["repurchase", "v1", False, NOW])
    found = scores(warehouse)
    expected = held[1].predict(on_cuts()[:90])
    assert [found[f"c{n:04}"] for n in range(90)] == pytest.approx(expected, abs=1e-12, rel=1e-12)


def test_spark_reads_every_statement_that_needs_delta(warehouse: Warehouse) -> None:
    dialect = dialect_of("spark")
    requests = control("training_requests").sql()
    places = Places("`s`.`rows`", dialect.relation(control("scores")), "`s`.`trees`")
    wanted = {SPARK.of(text.format(requests), [None] * text.count("?")) for text in UPDATES}
    wanted |= {delete_stale(places), keep_unscored(places)}
    merge = merge_statement(
        control("scores"), Relation("fed_audience", "new"), ["model_name", "score"], "model_name"
    )
    wanted.add(SPARK.of(merge, [None]))
    macros = package("spark")
    for name in ("training_requests", "training_runs", "model_registry", "scores"):
        wanted.add(macros.in_this_engine(getattr(macros, f"create_{name}")()))
    kinds = {read_by_spark(statement) for statement in wanted}
    assert kinds == {"UpdateTable", "DeleteFromTable", "MergeIntoTable", "CreateTable"}

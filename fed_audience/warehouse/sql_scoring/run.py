"""Scores a relation without reading a row: the statements, in one transaction."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from fed_audience.errors import DataError
from fed_audience.gbdt.bins import CategoryBins, Feature
from fed_audience.gbdt.bins.categories import category_hashes
from fed_audience.gbdt.bins.encoding import Encoder, encode_categorical
from fed_audience.gbdt.models.reader import read_model
from fed_audience.warehouse.control import SCHEMA, control
from fed_audience.warehouse.scoring import refuse_absent
from fed_audience.warehouse.sql_scoring.dialects import dialect_of
from fed_audience.warehouse.sql_scoring.prepared_rows import (
    KEY,
    create_codes,
    create_rows,
    select_rows,
)
from fed_audience.warehouse.sql_scoring.statements import (
    Places,
    delete_stale,
    insert_scores,
    keep_unscored,
)
from fed_audience.warehouse.sql_scoring.tree_table import create_nodes, nodes_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fed_audience.warehouse.protocol import Relation, Warehouse
    from fed_audience.warehouse.registry import RegisteredModel
    from fed_audience.warehouse.scores import ScoreStamp
    from fed_audience.warehouse.sql_scoring.dialects import SqlDialect

_ROWS, _CODES, _TREES = (f"fed_audience_scoring_{what}" for what in ("rows", "codes", "trees"))


@dataclass(frozen=True, slots=True)
class ScoredInWarehouse:
    """How many customers have a score of this version, and how many were scored for it."""

    customers: int
    scored: int
    as_case: bool


def score_in_warehouse(  # noqa: PLR0913 - as of score
    warehouse: Warehouse,
    relation: Relation,
    held: RegisteredModel,
    stamp: ScoreStamp,
    *,
    key: bytes = b"",
    entity: str = "customer_id",
    accept_missing: bool = False,
    among: str | None = None,
    without: Callable[[pa.Table, str], pa.Table] | None = None,
    schema: str = SCHEMA,
) -> ScoredInWarehouse:
    """Bring the scores of ``held`` up to date with ``relation``; only distinct categories are read.

    Scored are customers whose features, or whose model, have changed; scores of whoever is not in
    ``relation``, or not ``among`` it, are deleted. Arguments as of ``warehouse.scoring.score``;
    ``without`` takes out of a table those whom only a program can tell, by the column that names
    them, and only then are ids read. One transaction: until it ends everybody reads the old scores.
    Raises DataError for missing columns and for customers that come twice or are NULL, and
    ModelFormatError for a model that SQL cannot score.
    """
    model, encoder = read_model(held.model_text), Encoder.from_json(held.encoder)
    columns = warehouse.columns(relation)
    refuse_absent(relation, columns, encoder, entity, accept_missing=accept_missing)
    used = sorted({feature for tree in model.trees for feature in tree.split_feature})
    features = {number: encoder.features[number] for number in used}
    dialect = dialect_of(warehouse.dialect)
    scratch = {name: warehouse.temporary(name) for name in (_ROWS, _CODES, _TREES)}
    rows, codes, trees = (dialect.relation(one) for one in scratch.values())
    places = Places(rows, dialect.relation(control("scores", schema)), trees)
    insert, as_case = insert_scores(model, dialect, places)
    name, version = stamp.model_name, stamp.model_version
    with warehouse.transaction():
        warehouse.execute(create_rows(dialect, rows, features))
        warehouse.execute(create_codes(dialect, codes))
        known = _codes(warehouse, relation, columns, features, encoder, key)
        _fill(warehouse, scratch[_CODES], known)
        if not as_case:
            warehouse.execute(create_nodes(dialect, trees))
            _fill(warehouse, scratch[_TREES], nodes_of(model))
        selected = select_rows(
            dialect,
            relation,
            columns,
            features,
            entity=entity,
            categories=codes,
            fingerprint=_fingerprint(known),
            among=among,
        )
        warehouse.execute(f"insert into {rows} {selected}")
        if without is not None:
            _take_out(warehouse, rows, without)
        customers = _refuse_repeated(warehouse, rows, relation)
        warehouse.execute(delete_stale(places), [name, version])
        warehouse.execute(keep_unscored(places), [name])
        tables = (rows, codes) if as_case else (rows, codes, trees)
        for statement in _planning(dialect, tables):
            warehouse.execute(statement)
        scored = warehouse.execute(insert, [name, version, stamp.is_rank, stamp.scored_at])
        warehouse.execute(
            f"update {places.scores} set scored_at = ? where model_name = ?",
            [stamp.scored_at, name],
        )
        for table in tables:
            warehouse.execute(f"drop table {table}")
    return ScoredInWarehouse(customers, scored, as_case)


def _codes(
    warehouse: Warehouse,
    relation: Relation,
    columns: Mapping[str, str],
    features: Mapping[int, Feature],
    encoder: Encoder,
    key: bytes,
) -> pa.Table:
    """Return (feature, value, code) of the categories in ``relation`` that the model knows."""
    dialect = dialect_of(warehouse.dialect)
    found: dict[str, list[Any]] = {"feature": [], "value": [], "code": []}
    for number, feature in features.items():
        bins = encoder.bins[number]
        if not isinstance(bins, CategoryBins) or feature.name not in columns:
            continue
        column = dialect.name_of(feature.name)
        distinct = warehouse.query(
            f"select distinct {column} as held, cast({column} as {dialect.text}) as shown"
            f" from {dialect.relation(relation)} where {column} is not null"
        )
        prefixes, missing = category_hashes(distinct["held"], key)
        codes = encode_categorical(prefixes, missing, bins)
        for at in np.flatnonzero(codes < bins.size):
            found["feature"].append(number)
            found["value"].append(distinct["shown"][int(at)].as_py())
            found["code"].append(int(codes[at]))
    kinds: dict[str, pa.DataType] = {
        "feature": pa.int32(),
        "value": pa.string(),
        "code": pa.int32(),
    }
    table = pa.table(found, schema=pa.schema(kinds))
    return table.sort_by([("feature", "ascending"), ("value", "ascending")])


def _take_out(
    warehouse: Warehouse, rows: str, without: Callable[[pa.Table, str], pa.Table]
) -> None:
    there = warehouse.query(f"select {KEY} from {rows} where {KEY} is not null")
    kept = set(without(there, KEY)[KEY].to_pylist())
    for customer in there[KEY].to_pylist():
        if customer not in kept:
            warehouse.execute(f"delete from {rows} where {KEY} = ?", [customer])


def _planning(dialect: SqlDialect, tables: tuple[str, ...]) -> list[str]:
    """Return what the planner is told before the rows are scored."""
    counted = [dialect.analyze.format(table) for table in tables] if dialect.analyze else []
    return [*counted, *dialect.settings]


def _fill(warehouse: Warehouse, table: Relation, rows: pa.Table) -> None:
    if rows.num_rows:
        warehouse.insert(table, rows)


def _fingerprint(codes: pa.Table) -> str:
    return sha256(repr(codes.to_pydict()).encode()).hexdigest()[:16]


def _refuse_repeated(warehouse: Warehouse, rows: str, relation: Relation) -> int:
    counted = warehouse.query(
        f"select count(*) as rows_there, count({KEY}) as named, count(distinct {KEY}) as people"
        f" from {rows}"
    ).to_pylist()[0]
    if counted["rows_there"] != counted["people"]:
        raise DataError(
            f"{counted['rows_there'] - counted['named']} rows have no customer, and"
            f" {counted['named'] - counted['people']} customers come more than once",
            limit="one row a customer",
            looked=relation.sql(),
            fix="make the scored relation unique by customer; the old scores were kept",
        )
    return int(counted["people"])

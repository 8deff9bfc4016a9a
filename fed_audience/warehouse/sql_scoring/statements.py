"""The statements of one scoring, in order: prepare, drop what is stale, score what is left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fed_audience.errors import ModelFormatError
from fed_audience.gbdt.models.text_predictor import EXPONENT, IDENTITY
from fed_audience.warehouse.sql_scoring.prepared_rows import HASH, KEY
from fed_audience.warehouse.sql_scoring.tree_expressions import DEEPEST, sums_of_chunks
from fed_audience.warehouse.sql_scoring.tree_table import walked

if TYPE_CHECKING:
    from fed_audience.gbdt.models.reader import ModelText
    from fed_audience.warehouse.sql_scoring.dialects import SqlDialect

LONGEST: Final = 900_000
"""Characters of a statement; Snowflake and BigQuery take about a million."""

_LEVELS: Final = 64
"""Deepest trees that are walked with joins, each level one."""

_LARGEST_EXPONENT: Final = 700.0
"""Beyond it exp overflows, or differs from 0 and 1 by nothing that a score shows."""


@dataclass(frozen=True, slots=True)
class Places:
    """The tables of a scoring, as they stand in a statement: prepared rows, scores, trees."""

    rows: str
    scores: str
    nodes: str


def delete_stale(places: Places) -> str:
    """Return the statement that deletes what must not stay, or must be scored again.

    Placeholders: model name, version. Stale are scores of another version, of features that have
    changed since, and of everybody who is not among the prepared rows: who left, or withdrew.
    """
    return (
        f"delete from {places.scores} as s where s.model_name = ? and (s.model_version <> ?"
        f" or not exists (select 1 from {places.rows} as p where p.{KEY} = s.{KEY}"
        f" and p.{HASH} = s.{HASH}))"
    )


def keep_unscored(places: Places) -> str:
    """Return the statement that leaves only the rows to score. Placeholder: the model's name."""
    return (
        f"delete from {places.rows} as p where exists (select 1 from {places.scores} as s"
        f" where s.model_name = ? and s.{KEY} = p.{KEY})"
    )


def insert_scores(model: ModelText, dialect: SqlDialect, places: Places) -> tuple[str, bool]:
    """Return the statement that scores the prepared rows, and whether it is of CASE.

    Placeholders: the model's name, its version, whether it ranks, the instant. Raises
    ModelFormatError for a model of several classes, or deeper than any SQL can walk.
    """
    carried = (KEY, HASH)
    deepest = max((tree.depth for tree in model.trees), default=0)
    if model.classes > 1 or deepest > DEEPEST:
        raise ModelFormatError(
            "this model cannot be scored by the warehouse",
            value=f"{model.classes} classes, {deepest} levels",
            limit=f"one class, {DEEPEST} levels",
            fix="leave in_warehouse out: the agent scores it",
        )
    steps = sums_of_chunks(model, dialect, places.rows, carried)
    statement = _insert(dialect, places, steps, model.objective)
    if len(statement) <= LONGEST:
        return statement, True
    if deepest > _LEVELS:
        raise ModelFormatError(
            "this model is too large for one statement, and too deep to be walked by joins",
            value=f"{len(statement):,} characters, {deepest} levels",
            limit=f"{LONGEST:,} characters, or {_LEVELS} levels",
            fix="leave in_warehouse out, or train with fewer leaves",
        )
    steps = walked(model, dialect, places.rows, places.nodes, carried)
    return _insert(dialect, places, steps, model.objective), False


def _insert(dialect: SqlDialect, places: Places, steps: list[str], objective: str) -> str:
    return (
        f"insert into {places.scores} (model_name, model_version, {KEY}, score, is_rank, scored_at,"
        f" {HASH}) with {', '.join(steps)} select cast(? as {dialect.text}),"
        f" cast(? as {dialect.text}), {KEY}, {_linked(dialect, objective)}, cast(? as boolean),"
        f" cast(? as timestamp), {HASH} from summed"
    )


def _linked(dialect: SqlDialect, objective: str) -> str:
    """Return LightGBM's own link over `total`."""
    if objective in IDENTITY:
        return "total"
    low, high = dialect.number(-_LARGEST_EXPONENT), dialect.number(_LARGEST_EXPONENT)
    if objective in EXPONENT:
        return f"exp(greatest(total, {low}))"
    slope = dialect.number(-float(objective.partition("sigmoid:")[2] or 1.0))
    one = dialect.number(1.0)
    return f"{one} / ({one} + exp(greatest(least({slope} * total, {high}), {low})))"

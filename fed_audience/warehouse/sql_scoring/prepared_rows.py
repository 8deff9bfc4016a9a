"""The rows that trees read: one a customer, every value a double, a category its code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fed_audience.errors import DataError
from fed_audience.gbdt.bins.canonical import LARGEST, SMALLEST
from fed_audience.warehouse.sql_scoring.tree_expressions import value_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fed_audience.gbdt.bins import Feature
    from fed_audience.warehouse.protocol import Relation
    from fed_audience.warehouse.sql_scoring.dialects import SqlDialect

KEY, HASH = "customer_id", "features_hash"

_NUMBERS = ("int", "float", "double", "real", "numeric", "decimal", "number", "serial", "byte")


def create_rows(dialect: SqlDialect, name: str, features: Mapping[int, Feature]) -> str:
    """Return the statement that creates the table ``name`` of prepared rows."""
    values = "".join(f", {value_name(number)} {dialect.double}" for number in features)
    return f"{dialect.temporary} {name} ({KEY} {dialect.text}, {HASH} {dialect.text}{values})"


def create_codes(dialect: SqlDialect, name: str) -> str:
    """Return the statement that creates the table ``name`` of (feature, value, code)."""
    return f"{dialect.temporary} {name} (feature int, value {dialect.text}, code int)"


def select_rows(
    dialect: SqlDialect,
    relation: Relation,
    columns: Mapping[str, str],
    features: Mapping[int, Feature],
    *,
    entity: str,
    categories: str,
    fingerprint: str,
    among: str | None = None,
) -> str:
    """Return the select of prepared rows from ``relation``, whose ``columns`` have these types.

    ``features``: those that the trees ask for, by number; one that ``relation`` lacks is missing.
    ``categories``: the table of codes (feature, value, code) of this model. ``features_hash`` tells
    whether a customer must be scored again; ``fingerprint`` is hashed with the values. Raises
    DataError for a type that training does not take either.
    """
    quoted = {number: f"s.{dialect.name_of(one.name)}" for number, one in features.items()}
    held = {number: one for number, one in features.items() if one.name in columns}
    values, joins = [], []
    for number, one in features.items():
        if number not in held:
            value = f"cast(null as {dialect.double})"
        elif one.categorical:
            code, text = f"k{number}", f"cast({quoted[number]} as {dialect.text})"
            joins.append(
                f" left join {categories} as {code} on {code}.feature = {number}"
                f" and {code}.value = {text}"
            )
            value = f"cast({code}.code as {dialect.double})"
        else:
            value = _number(dialect, quoted[number], columns[one.name], one.name)
        values.append(f"{value} as {value_name(number)}")
    customer = f"cast(s.{dialect.name_of(entity)} as {dialect.text})"
    where = "" if among is None else f" where {customer} in ({among})"
    raw = (
        f"select {customer} as {KEY}, {_hash(dialect, held, quoted, fingerprint)} as {HASH}"
        f"{''.join(f', {value}' for value in values)}"
        f" from {dialect.relation(relation)} as s{''.join(joins)}{where}"
    )
    cleaned = "".join(
        f", {value_name(number)}"
        if one.categorical
        else f", {_canonical(dialect, value_name(number))} as {value_name(number)}"
        for number, one in features.items()
    )
    return f"select {KEY}, {HASH}{cleaned} from ({raw}) as raw_values"


def _hash(
    dialect: SqlDialect,
    held: Mapping[int, Feature],
    quoted: Mapping[int, str],
    fingerprint: str,
) -> str:
    """Hash the values as text, each with its length, so that no two rows read alike."""
    texts = [f"cast({quoted[number]} as {dialect.text})" for number in held]
    parts = [
        f"coalesce(cast(length({text}) as {dialect.text}) || ':' || {text}, '-')" for text in texts
    ]
    return dialect.md5.format(" || ".join([f"'{fingerprint}'", *parts]))


def _number(dialect: SqlDialect, column: str, kind: str, name: str) -> str:
    kind = kind.lower()
    if kind.startswith("bool"):
        value = f"case when {column} then 1 when not {column} then 0 end"
    elif kind == "date":
        value = dialect.days.format(column)
    elif kind.startswith(("timestamp", "datetime")):
        value = dialect.seconds.format(column)
    elif any(word in kind for word in _NUMBERS) and "interval" not in kind:
        value = column
    else:
        raise DataError(
            f"feature {name} holds values that are not numbers",
            value=kind,
            limit="numbers, booleans, dates, timestamps",
            fix="cast it to a number in the dbt model, or leave in_warehouse out",
        )
    return f"cast({value} as {dialect.double})"


def _canonical(dialect: SqlDialect, value: str) -> str:
    """Clip a number as training does; NaN becomes NULL."""
    largest, smallest = dialect.number(LARGEST), dialect.number(SMALLEST)
    return (
        f"case when {value} is null or {dialect.is_nan.format(value)} then null"
        f" when abs({value}) < {smallest} then {dialect.number(0.0)}"
        f" when {value} > {largest} then {largest}"
        f" when {value} < {dialect.number(-LARGEST)} then {dialect.number(-LARGEST)}"
        f" else {value} end"
    )

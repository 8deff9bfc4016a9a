"""How each engine writes what scoring needs: doubles, instants, names, hashes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fed_audience.errors import ConfigError

if TYPE_CHECKING:
    from fed_audience.warehouse.protocol import Relation


@dataclass(frozen=True, slots=True)
class SqlDialect:
    """The words of one engine; ``{}`` in a template stands for an expression.

    ``literal`` makes a double of its shortest decimal, without a detour over decimals that round.
    ``days`` and ``seconds`` count from 1970-01-01 (UTC), as training does. ``temporary`` begins the
    statement that creates the table of prepared rows. ``materialized`` keeps a sum over some trees
    from being planned together with the next, ``level`` one level of a walk. ``analyze`` tells the
    planner how large a table of ours is, where it does not see that by itself; ``settings`` come
    before scoring.
    """

    name: str
    double: str
    text: str
    literal: str
    is_nan: str
    days: str
    seconds: str
    md5: str = "md5({})"
    quote: str = '"'
    materialized: str = ""
    level: str = ""
    temporary: str = "create temp table"
    analyze: str | None = None
    settings: tuple[str, ...] = ()

    def number(self, value: float) -> str:
        """Return ``value`` as a literal that reads back to the same double."""
        shortest = repr(float(value))
        return self.literal.format(shortest if "e" in shortest else f"{shortest}e0")

    def name_of(self, identifier: str) -> str:
        """Return ``identifier`` as a quoted name."""
        return f"{self.quote}{identifier.replace(self.quote, self.quote * 2)}{self.quote}"

    def relation(self, relation: Relation) -> str:
        """Return the quoted name of ``relation``."""
        parts = (relation.database, relation.schema, relation.name)
        return ".".join(self.name_of(part) for part in parts if part is not None)


_DIALECTS: Final = (
    SqlDialect(
        "duckdb",
        double="double",
        text="varchar",
        literal="{}",
        is_nan="isnan({})",
        days="date_diff('day', date '1970-01-01', {})",
        seconds="cast(epoch_us({}) as double) / 1e6",
        materialized=" materialized",
    ),
    SqlDialect(
        "postgres",
        double="double precision",
        text="varchar",
        literal="'{}'::float8",
        is_nan="{} = 'NaN'::float8",
        days="{} - date '1970-01-01'",
        seconds="cast(1000000 * extract(epoch from {}) as double precision) / '1e6'::float8",
        materialized=" materialized",
        level=" materialized",
        analyze="analyze {}",
        # Compiling so long an expression takes longer than computing it; and the planner expects
        # next to nobody at the lower levels of a tree, over whom it would loop.
        settings=("set local jit = off", "set local enable_nestloop = off"),
    ),
    SqlDialect(
        "snowflake",
        double="double",
        text="varchar",
        literal="'{}'::double",
        is_nan="{} = 'NaN'::double",
        days="datediff('day', '1970-01-01'::date, {})",
        seconds="cast(date_part(epoch_microsecond, {}) as double) / '1e6'::double",
        temporary="create temporary table",
    ),
    SqlDialect(
        "bigquery",
        double="float64",
        text="string",
        literal="{}",
        is_nan="is_nan({})",
        days="unix_date({})",
        seconds="cast(unix_micros(cast({} as timestamp)) as float64) / 1e6",
        md5="to_hex(md5({}))",
        quote="`",
        # A temporary table of BigQuery has no schema that can be named.
        temporary="create table",
    ),
    *(
        SqlDialect(
            name,
            double="double",
            text="string",
            literal="{}D",
            is_nan="isnan({})",
            days="unix_date({})",
            seconds="cast(unix_micros(cast({} as timestamp)) as double) / 1e6D",
            quote="`",
            # Spark has temporary views, which would be computed again at each use.
            temporary="create table",
        )
        for name in ("databricks", "spark")
    ),
)
DIALECTS: Final = {dialect.name: dialect for dialect in _DIALECTS}
"""dbt's word for an engine -> how it writes."""

RUN: Final = ("duckdb", "postgres")
"""The engines on which every change runs it; for the others it is rendered and parsed."""


def dialect_of(engine: str) -> SqlDialect:
    """Return the dialect of ``engine``; raises ConfigError naming those there are."""
    if engine not in DIALECTS:
        raise ConfigError(
            "no SQL for scoring in this engine",
            value=engine,
            limit=", ".join(DIALECTS),
            fix="leave in_warehouse out: the agent scores",
        )
    return DIALECTS[engine]

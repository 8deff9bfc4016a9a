"""The dbt macro `consent_as_of` as a statement of its own, for deciding a whole brand at once.

There is one SQL of consent. dbt renders it in the build; here the same file is rendered for
questions that cannot wait for a build: who consents at another instant.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from jinja2 import Environment, StrictUndefined, TemplateError

from fed_audience.consent.events import REFUSALS, naive_utc
from fed_audience.consent.purposes import validated
from fed_audience.errors import ConsentError
from fed_audience.warehouse.dbt import package_path
from fed_audience.warehouse.key_buckets import in_buckets
from fed_audience.warehouse.protocol import Relation

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    import pyarrow as pa

    from fed_audience.warehouse.protocol import Warehouse

_ADDED: Final = {
    "duckdb": "({date} + {number} * interval '1 {part}')",
    "snowflake": "dateadd({part}, {number}, {date})",
    "bigquery": "timestamp_add({date}, interval {number} {part})",
    "databricks": "timestampadd({part}, {number}, {date})",
    "spark": "timestampadd({part}, {number}, {date})",
}
"""dbt's word for an engine -> how it adds a number of days to an instant; others as DuckDB."""


@dataclass(frozen=True, slots=True)
class ConsentRelations:
    """Where the dbt package keeps consent: the live ledger, the rules, all customers."""

    ledger: Relation
    rules: Relation
    customers: Relation

    @classmethod
    def of_schema(cls, schema: str = "main") -> ConsentRelations:
        """Return the relations as dbt names them in target schema ``schema``."""
        return cls(
            Relation(schema, "int_consent_ledger"),
            Relation(schema, "jurisdiction_rules"),
            Relation(schema, "stg_cdp__customers"),
        )


def decisions_sql(
    warehouse: Warehouse,
    relations: ConsentRelations,
    as_of: datetime,
    purposes: Iterable[str] | None = None,
) -> str:
    """Return a select of (subject_id, purpose, is_consented, rule, consent_event_id, ...).

    In the SQL of ``warehouse``. ``purposes`` narrows the answer, never the evidence. Raises
    ConsentError for an unknown purpose or when the macro cannot be rendered.
    """
    names = None if purposes is None else [validated(purpose) for purpose in purposes]
    try:
        macro = _macro(relations.rules.sql(), warehouse.dialect)
        return str(macro(relations.ledger.sql(), _instant(as_of), names))
    except TemplateError as error:
        raise ConsentError(
            f"the consent macro cannot be rendered: {error}",
            looked=str(_macro_file()),
            fix="install fed-audience again; its dbt package was changed",
        ) from error


def consenting(
    warehouse: Warehouse,
    relations: ConsentRelations,
    purposes: Iterable[str],
    as_of: datetime,
    buckets: Sequence[int] | None = None,
) -> pa.Array[pa.StringScalar]:
    """Return the sorted ids of everyone who consents to all of ``purposes`` at ``as_of``.

    ``buckets``: of ids in these alone (``warehouse.key_buckets``). Raises ConsentError without any
    purpose: nobody is asked nothing.
    """
    return _ids(warehouse, _people_sql(warehouse, relations, purposes, as_of, buckets))


def usable(
    warehouse: Warehouse,
    relations: ConsentRelations,
    purposes: Iterable[str],
    as_of: datetime,
    buckets: Sequence[int] | None = None,
) -> pa.Array[pa.StringScalar]:
    """Return the sorted ids of ``consenting`` less whoever has refused since ``as_of``.

    For rows that are about to be used: an instant that is over brings nobody back.
    """
    return _ids(warehouse, usable_sql(warehouse, relations, purposes, as_of, buckets))


def usable_sql(
    warehouse: Warehouse,
    relations: ConsentRelations,
    purposes: Iterable[str],
    as_of: datetime,
    buckets: Sequence[int] | None = None,
) -> str:
    """Return a select of subject_id: whom ``usable`` returns."""
    asked = sorted({validated(purpose) for purpose in purposes})
    people = _people_sql(warehouse, relations, asked, as_of, buckets)
    return (
        f"select subject_id from ({people}) as people where subject_id not in"
        f" (select subject_id from {relations.ledger.sql()} where subject_id is not null"
        f" and recorded_at > {_instant(as_of)} and (is_minor"
        f" or (purpose in ({_texts(asked)}) and status in ({_texts(sorted(REFUSALS))}))))"
    )


def _people_sql(
    warehouse: Warehouse,
    relations: ConsentRelations,
    purposes: Iterable[str],
    as_of: datetime,
    buckets: Sequence[int] | None,
) -> str:
    asked = sorted({validated(purpose) for purpose in purposes})
    if not asked:
        raise ConsentError("no purpose was given", fix="name at least one, such as 'train'")
    decisions = decisions_sql(warehouse, relations, as_of, asked)
    among = "" if buckets is None else f" and {in_buckets('subject_id', buckets)}"
    return (
        f"select subject_id from ({decisions}) as decisions where is_consented{among}"
        f" group by subject_id having count(*) = {len(asked)}"
    )


def _ids(warehouse: Warehouse, statement: str) -> pa.Array[pa.StringScalar]:
    # Sorted here, not there: engines order text by their own language.
    return warehouse.query(statement)["subject_id"].combine_chunks().sort()


def _instant(as_of: datetime) -> str:
    return f"cast('{naive_utc(as_of):%Y-%m-%d %H:%M:%S.%f}' as timestamp)"


def _texts(words: Iterable[str]) -> str:
    """Return ``words``, which are the program's own, as SQL."""
    return ", ".join(f"'{word}'" for word in words)


def _macro_file() -> Any:
    return package_path() / "macros" / "consent" / "consent_as_of.sql"


@cache
def _macro(rules: str, dialect: str) -> Any:
    """Render what the macro uses of dbt as the adapter of ``dialect`` does."""
    environment = Environment(undefined=StrictUndefined, autoescape=False)  # noqa: S701 - SQL, not HTML
    package: dict[str, Any] = {}
    environment.globals |= {
        "fed_audience": package,
        "ref": lambda *_: rules,
        "dbt": {
            "dateadd": lambda part, number, date: _ADDED.get(dialect, _ADDED["duckdb"]).format(
                part=part, number=number, date=date
            )
        },
    }
    package["in_byte_order"] = '{} collate "C"'.format if dialect == "postgres" else "{}".format
    module = environment.from_string(_macro_file().read_text(encoding="utf-8")).module
    package.update(vars(module))
    return package["consent_as_of"]

"""Every rule of consent_as_of has a unit test that fails when the rule is bent.

The package's own unit tests are run here on the rendered macro, without dbt, so that many
mutations take a second. That they are green under dbt itself is tested beside this file.
"""

from __future__ import annotations

import csv
import io
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import duckdb
import jinja2
import pytest
import yaml

from fed_audience.warehouse.dbt import package_path

if TYPE_CHECKING:
    from collections.abc import Iterator

MACRO = (package_path() / "macros/consent/consent_as_of.sql").read_text(encoding="utf-8")
UNIT_TESTS = yaml.safe_load(
    (package_path() / "models/intermediate/consent/_consent_unit_tests.yml").read_text(
        encoding="utf-8"
    )
)["unit_tests"]

LEDGER = {
    **dict.fromkeys(
        (
            "consent_event_id",
            "member_id",
            "subject_id",
            "purpose",
            "status",
            "jurisdiction",
            "time_trust",
        ),
        "varchar",
    ),
    **dict.fromkeys(("effective_at", "recorded_at", "expires_at"), "timestamp"),
    "is_minor": "boolean",
}
RULES = {
    "jurisdiction": "varchar",
    "purpose": "varchar",
    "default_mode": "varchar",
    "ttl_days": "integer",
    "minor_unknown_is_minor": "boolean",
}

ALLOWED = "case when member_rule in ('granted', 'opt_out_default')"

# What is bent: the text of the macro before and after.
MUTATIONS = {
    "latest event wins": ("counts_at desc, case", "effective_at desc, case"),
    "latest arrival wins": ("counts_at desc, case", "recorded_at desc, case"),
    "not known yet": (
        "recorded_at <= {{ as_of }}\n    {%- if",
        "recorded_at < {{ as_of }}\n    {%- if",
    ),
    "known too early": (" and recorded_at <= {{ as_of }}\n", "\n"),
    "grant wins a tie": (
        "counts_at desc, case when status = 'granted' then 1 else 0",
        "counts_at desc, case when status = 'granted' then 0 else 1",
    ),
    "no tie-break": (
        "counts_at desc, case when status = 'granted' then 1 else 0 end,",
        "counts_at desc,",
    ),
    "largest id wins": (
        "in_byte_order('consent_event_id') }}\n{%- endmacro",
        "in_byte_order('consent_event_id') }} desc\n{%- endmacro",
    ),
    "a grant lasts its last instant": (
        "known.expires_at > {{ as_of }}",
        "known.expires_at >= {{ as_of }}",
    ),
    "a term lasts its last instant": (
        "'known.counts_at') }} > {{",
        "'known.counts_at') }} >= {{",
    ),
    "no default term": ("when regimes.ttl_days is null\n", "when true\n"),
    "a client's grant as late as it can be": (
        "then least(effective_at, recorded_at)",
        "then recorded_at",
    ),
    "a client's grant as it says": ("then least(effective_at, recorded_at)", "then effective_at"),
    "an unnamed clock is believed": (
        "when time_trust = 'server' then",
        "when coalesce(time_trust, 'server') = 'server' then",
    ),
    "grants ahead of time count": (
        "where known.status <> 'granted' or known.counts_at <= {{ as_of }}",
        "where true",
    ),
    "refusals ahead of time wait": (
        "where known.status <> 'granted' or known.counts_at <= {{ as_of }}",
        "where known.counts_at <= {{ as_of }}",
    ),
    "an undated grant counts": (
        "            when status = 'granted' and effective_at is null then null\n",
        "",
    ),
    "an undated refusal is lost": ("coalesce(effective_at, recorded_at)", "effective_at"),
    "no status is a grant": ("coalesce(status, 'unknown')", "coalesce(status, 'granted')"),
    "the laxest mode of several": (
        "min(case when rules.default_mode = 'opt_out'",
        "max(case when rules.default_mode = 'opt_out'",
    ),
    "the longest term of several": (
        "min(\n            case\n                when rules.purpose",
        "max(\n            case\n                when rules.purpose",
    ),
    "an unlisted purpose lasts forever": ("(select min(ttl_days) from rules)", "null"),
    "an unlisted place is lenient": (
        "coalesce(listed.jurisdiction, 'ZZ')",
        "coalesce(listed.jurisdiction, 'US')",
    ),
    "silence lifts a refusal": (
        "status not in ('granted', 'denied', 'withdrawn', 'expired') then 1",
        "false then 1",
    ),
    "silence never consents": (
        "when regimes.is_opt_out then 'opt_out_default'",
        "when false then 'opt_out_default'",
    ),
    "once a minor, always one": ("end) = max(recorded_at) then", "end) is not null then"),
    "one identity tells the age": (
        "group by subject_id, member_id\n",
        "group by subject_id\n",
    ),
    "an age at once is the older": (
        "end) = max(recorded_at) then",
        "end) > coalesce(max(case when not is_minor then recorded_at end), '-infinity') then",
    ),
    "the deciding event tells the age": (
        "when ages.is_minor then 'minor'",
        "when known.is_minor then 'minor'",
    ),
    "unknown age is adult": (
        "when ages.is_minor is null and regimes.is_minor_unless_said then",
        "when false then",
    ),
    "unknown age by the laxest place": (
        "max(case when coalesce(rules.minor_unknown_is_minor, true)",
        "min(case when coalesce(rules.minor_unknown_is_minor, true)",
    ),
    "unknown age is adult where unlisted": (
        "coalesce(rules.minor_unknown_is_minor, true)",
        "coalesce(rules.minor_unknown_is_minor, false)",
    ),
    "the newest identity decides": (
        "partition by candidates.subject_id, candidates.purpose, candidates.member_id",
        "partition by candidates.subject_id, candidates.purpose",
    ),
    "a second event changes nothing": ("where events = 1\n", "where true\n"),
    "several events say nothing": ("where events > 1\n", "where events > 99\n"),
    "any identity may grant": (
        f"order by\n                {ALLOWED} then 1 else 0 end,",
        f"order by\n                {ALLOWED} then 0 else 1 end,",
    ),
    "a purpose implies another, by identity": (
        "partition by candidates.subject_id, candidates.purpose, candidates.member_id",
        "partition by candidates.subject_id, candidates.member_id",
    ),
    "a purpose implies another, by person": (
        "row_number() over (\n            partition by subject_id, purpose\n",
        "row_number() over (\n            partition by subject_id\n",
    ),
}


def rendered(macros: str, world: str, as_of: str) -> str:
    """Render consent_as_of as dbt does on DuckDB, with what it calls of dbt in place."""
    context: dict[str, Any] = {
        "ref": lambda _package, _name: f"{world}.rules",
        "dbt": SimpleNamespace(
            dateadd=lambda _part, days, instant: f"({instant} + to_days(cast({days} as integer)))"
        ),
        "fed_audience": SimpleNamespace(in_byte_order=lambda column: column),
    }
    # SQL is no markup: nothing is escaped.
    environment = jinja2.Environment(autoescape=jinja2.select_autoescape(default_for_string=False))
    module: Any = environment.from_string(macros, context).make_module(context)
    context["fed_audience"].consent_order = module.consent_order
    return str(module.consent_as_of(f"{world}.ledger", f"cast('{as_of}' as timestamp)"))


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def fill(
    connection: duckdb.DuckDBPyConnection, name: str, columns: dict[str, str], text: str
) -> None:
    definition = ", ".join(f"{column} {kind}" for column, kind in columns.items())
    connection.execute(f"create table {name} ({definition})")
    connection.executemany(
        f"insert into {name} values ({', '.join('?' for _ in columns)})",
        [[row.get(column) or None for column in columns] for row in rows(text)],
    )


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        for test in UNIT_TESTS:
            ledger, rules = (given["rows"] for given in test["given"])
            connection.execute(f"create schema {test['name']}")
            fill(connection, f"{test['name']}.ledger", LEDGER, ledger)
            fill(connection, f"{test['name']}.rules", RULES, rules)
        yield connection


def failing(connection: duckdb.DuckDBPyConnection, macros: str) -> Iterator[str]:
    """Yield the names of the unit tests that do not hold under these macros."""
    for test in UNIT_TESTS:
        as_of = test["overrides"]["vars"]["fed_audience__as_of"]
        found = connection.execute(
            "select subject_id, purpose, is_consented::varchar, rule, consent_event_id "
            f"from ({rendered(macros, test['name'], as_of)})"
        ).fetchall()
        if sorted(found) != sorted(tuple(row.values()) for row in rows(test["expect"]["rows"])):
            yield test["name"]


def test_the_rules_hold_as_they_are(connection: duckdb.DuckDBPyConnection) -> None:
    assert list(failing(connection, MACRO)) == []


@pytest.fixture(scope="module")
def noticed_by(connection: duckdb.DuckDBPyConnection) -> dict[str, set[str]]:
    """Which unit tests fail under each mutation."""
    return {
        mutation: set(failing(connection, MACRO.replace(before, after)))
        for mutation, (before, after) in MUTATIONS.items()
    }


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_bent_rule_fails_a_unit_test(noticed_by: dict[str, set[str]], mutation: str) -> None:
    before, _ = MUTATIONS[mutation]
    assert before in MACRO
    assert noticed_by[mutation]


def test_every_unit_test_notices_something(noticed_by: dict[str, set[str]]) -> None:
    """A unit test that no mutation fails would stand for a rule in name only."""
    assert set().union(*noticed_by.values()) == {test["name"] for test in UNIT_TESTS}

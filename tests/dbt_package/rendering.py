"""The package's SQL as dbt renders it for an engine, without dbt's seconds and without the engine.

Macros are chosen as `adapter.dispatch` chooses them. What dbt's own adapters add is stated here, as
their cross-database macros have it; only DuckDB and PostgreSQL are run by dbt itself elsewhere.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import jinja2

from fed_audience.warehouse.dbt import package_path

AS_OF = datetime(2026, 10, 1, tzinfo=UTC)
DISPATCH = {
    "duckdb": ("duckdb",),
    "postgres": ("postgres",),
    "snowflake": ("snowflake",),
    "bigquery": ("bigquery",),
    "spark": ("spark",),
    "databricks": ("databricks", "spark"),
}
"""Engine -> prefixes in the order in which dbt looks for a macro, before `default__`."""

_TYPES = {
    "bigquery": ("string", "int64", "bool"),
    "spark": ("string", "int", "boolean"),
    "databricks": ("string", "int", "boolean"),
}
_DATEADD = {
    "duckdb": "({date} + ({number}) * interval '1 {part}')",
    "postgres": "({date} + ({number}) * interval '1 {part}')",
    "snowflake": "dateadd({part}, {number}, {date})",
    "bigquery": "datetime_add(cast({date} as datetime), interval {number} {part})",
    "spark": "timestampadd({part}, {number}, {date})",
    "databricks": "timestampadd({part}, {number}, {date})",
}
_POSITION = {"bigquery": "strpos({1}, {0})", "snowflake": "position({0}, {1})"}
_SPLIT = {"bigquery": "split({0}, {1})[safe_offset({2} - 1)]"}
_QUOTES = {"bigquery": "`", "spark": "`", "databricks": "`"}


class _Returned(Exception):  # noqa: N818 - dbt's `return`, which ends a macro
    def __init__(self, value: object) -> None:
        self.value = value


class CompilerError(Exception):
    """What a macro raises through dbt."""


def package(engine: str, **context: Any) -> Any:
    """Return the package's macros for ``engine``; ``context`` replaces dbt's names."""
    macros = SimpleNamespace()
    names = {**_dbt(engine, macros), **context, "fed_audience": macros}
    environment = _environment()
    for file in sorted((package_path() / "macros").rglob("*.sql")):
        module: Any = environment.from_string(file.read_text(encoding="utf-8"), names).make_module(
            names
        )
        for name, macro in vars(module).items():
            if callable(macro):
                setattr(macros, name, _returning(macro))
    return macros


def models(engine: str, **context: Any) -> Iterator[tuple[str, str | CompilerError]]:
    """Yield name and SQL of every model of the package, or why there is none.

    Its raw tables have every column.
    """
    macros = package(engine, **context)
    names = {**_dbt(engine, macros), **context, "fed_audience": macros}
    for file in sorted((package_path() / "models").rglob("*.sql")):
        template = _environment().from_string(file.read_text(encoding="utf-8"))
        try:
            yield file.stem, template.render({**names, "this": relation(engine, file.stem)})
        except CompilerError as refused:
            yield file.stem, refused


class Quoted(str):
    """A relation as dbt writes it, with the parts that macros ask for."""

    __slots__ = ("database", "identifier", "schema")
    database: str
    schema: str
    identifier: str


def relation(engine: str, name: str) -> Quoted:
    """Return how dbt quotes a relation of the target schema."""
    quote = _QUOTES.get(engine, '"')
    parts = ("shop", "analytics", name)
    quoted = Quoted(".".join(f"{quote}{part}{quote}" for part in parts))
    quoted.database, quoted.schema, quoted.identifier = parts
    return quoted


def _environment() -> jinja2.Environment:
    # SQL is no markup: nothing is escaped.
    return jinja2.Environment(
        autoescape=jinja2.select_autoescape(default_for_string=False),
        extensions=["jinja2.ext.do"],
        undefined=jinja2.StrictUndefined,
    )


def _returning(macro: Callable[..., Any]) -> Callable[..., Any]:
    def called(*args: Any, **named: Any) -> Any:
        try:
            return macro(*args, **named)
        except _Returned as returned:
            return returned.value

    return called


def _dbt(engine: str, macros: SimpleNamespace) -> dict[str, Any]:
    text, whole, flag = _TYPES.get(engine, ("varchar", "integer", "boolean"))
    digest = "to_hex(md5({}))" if engine == "bigquery" else "md5({})"
    quote = _QUOTES.get(engine, '"')

    def give_back(value: object = None) -> object:
        raise _Returned(value)

    def refuse(message: str) -> None:
        raise CompilerError(message)

    def dispatch(name: str, _package: str) -> Any:
        found = vars(macros)
        prefixes = (*DISPATCH[engine], "default")
        return next(found[f"{one}__{name}"] for one in prefixes if f"{one}__{name}" in found)

    spec = {
        "model": "repurchase",
        "task": "propensity",
        "label": "label",
        "partners": ["grocery"],
        "cadence_days": 7,
    }
    meta = {"fed_audience": spec}
    return {
        "return": give_back,
        "var": lambda _name, default=None: default,
        "ref": lambda *name: relation(engine, name[-1]),
        "source": lambda _source, table: relation(engine, table),
        "config": lambda **_: "",
        "log": lambda *_, **__: "",
        "tojson": lambda value, sort_keys=False: json.dumps(value, sort_keys=sort_keys),
        "modules": SimpleNamespace(re=re),
        "exceptions": SimpleNamespace(raise_compiler_error=refuse),
        "execute": True,
        "is_incremental": lambda: False,
        "flags": SimpleNamespace(WHICH="build", EMPTY=False, SAMPLE=None),
        "target": SimpleNamespace(name="prod", type=engine, database="shop", schema="analytics"),
        "invocation_id": "0b1c",
        "run_started_at": AS_OF,
        "this": relation(engine, "a_model"),
        "model": SimpleNamespace(
            name="a_model",
            unique_id="model.shop.a_model",
            config={"meta": meta, "get": {"meta": meta}.get},
        ),
        "load_relation": lambda wanted: wanted,
        "run_query": lambda _sql: SimpleNamespace(rows=[(5, 2, 0, 1, 0)]),
        "api": SimpleNamespace(
            Relation=SimpleNamespace(
                create=lambda identifier, **_: relation(engine, identifier).replace(
                    "analytics", "fed_audience"
                )
            )
        ),
        "adapter": SimpleNamespace(
            dispatch=dispatch,
            quote=lambda name: f"{quote}{name}{quote}",
            get_columns_in_relation=lambda wanted: _columns(str(wanted), engine),
        ),
        "dbt": SimpleNamespace(
            dateadd=lambda part, number, date: _DATEADD[engine].format(
                part=part, number=number, date=date
            ),
            hash=digest.format,
            type_string=lambda: text,
            type_int=lambda: whole,
            type_bigint=lambda: "int64" if engine == "bigquery" else "bigint",
            position=lambda part, text: _POSITION.get(engine, "position({0} in {1})").format(
                part, text
            ),
            split_part=lambda text, by, number: _SPLIT.get(
                engine, "split_part({0}, {1}, {2})"
            ).format(text, by, number),
            type_boolean=lambda: flag,
            type_timestamp=lambda: "timestamp",
        ),
    }


def _columns(wanted: str, engine: str) -> list[Any]:
    """Return the columns of a raw table: all that staging knows, dates as text or with a zone."""
    table = wanted.strip('"`').split(".")[-1].strip('"`')
    text = _TYPES.get(engine, ("character varying",))[0]
    file = package_path() / "models" / "staging" / f"stg_cdp__{table}.sql"
    if not file.exists():
        names = ["customer_id", "label", "cutoff_at", "_fed_build_id", "f_orders"]
        return [SimpleNamespace(name=name, data_type=text) for name in names]
    kinds = dict(re.findall(r"'(\w+)': '(\w+)'", file.read_text(encoding="utf-8")))
    shown = {"instant": "timestamp with time zone", "text": text, "flag": "boolean"}
    found = {name: shown.get(kind, "numeric") for name, kind in kinds.items()}
    instants = [name for name, kind in kinds.items() if kind == "instant"]
    found |= dict.fromkeys(instants[1:2], text) | dict.fromkeys(instants[2:3], "timestamp")
    return [SimpleNamespace(name=name, data_type=kind) for name, kind in found.items()]

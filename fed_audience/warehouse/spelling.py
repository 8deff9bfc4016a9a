"""The words that DuckDB and PostgreSQL share, as another engine writes them.

A statement is cut at its strings, names and comments; what is left are words and placeholders. That
is all that the statements of this program need: they are written so that nothing but words differs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from fed_audience.errors import WarehouseError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LIST: Final = "select unnest(?::varchar[])"
"""How a statement asks for the texts of a list, which is one value."""

_TOKEN: Final = re.compile(
    r"(?P<name>\"(?:[^\"]|\"\")+\")"
    r"|(?P<opaque>'(?:[^']|'')*'|`[^`]*`|--[^\n]*|/\*.*?\*/)"
    rf"|(?P<list>{re.escape(LIST)})"
    r"|(?P<value>\?)"
    r"|(?P<word>\b[A-Za-z_][A-Za-z0-9_]*\b)",
    re.DOTALL,
)
_FOLDED: Final = re.compile(r"[a-z_][a-z0-9_$]*")


@dataclass(frozen=True, slots=True)
class Spelling:
    """How an engine writes names, types and lists.

    ``phrases`` are replaced first, then single ``words``. ``texts`` selects the texts of a list
    that is bound to its ``?``. An engine that ``folds`` keeps unquoted names in capitals, so that
    dbt's `customers` is its `CUSTOMERS`.
    """

    quote: str = '"'
    words: Mapping[str, str] = field(default_factory=dict)
    phrases: Mapping[str, str] = field(default_factory=dict)
    texts: str = LIST
    folds: bool = False

    def of(self, statement: str, parameters: Sequence[object] = ()) -> str:
        """Return ``statement`` in this spelling, with ``?`` for each of ``parameters``.

        Raises WarehouseError when placeholders and values differ in number.
        """
        found = 0

        def respelled(token: re.Match[str]) -> str:
            nonlocal found
            text = token[0]
            if token["name"]:
                return self.name(text[1:-1].replace('""', '"'))
            if token["list"] or token["value"]:
                found += 1
                return self.texts if token["list"] else text
            return self.words.get(text.lower(), text) if token["word"] else text

        for phrase, own in self.phrases.items():
            statement = statement.replace(phrase, own)
        spelled = _TOKEN.sub(respelled, statement)
        if found != len(parameters):
            raise WarehouseError(
                "the statement and its values do not fit each other",
                value=f"{found} placeholders, {len(parameters)} values",
                fix="give one value for each ? outside quotes and comments",
            )
        return spelled

    def name(self, identifier: str) -> str:
        """Return ``identifier`` quoted."""
        if self.folds and _FOLDED.fullmatch(identifier):
            identifier = identifier.upper()
        return self.quote + identifier.replace(self.quote, self.quote * 2) + self.quote

    def unfolded(self, identifier: str) -> str:
        """Return the name of a column as a statement would have it."""
        low = identifier.lower()
        return low if self.folds and low.upper() == identifier else identifier


_BACKTICKED: Final = {"varchar": "string"}
_PLAIN: Final = {" as materialized (": " as ("}
_LASTING: Final = {**_PLAIN, "create temp table": "create table"}

SNOWFLAKE: Final = Spelling(
    folds=True,
    phrases={**_PLAIN, "create temp table": "create temporary table"},
    texts="select value::varchar from table(flatten(input => parse_json(?)))",
)
BIGQUERY: Final = Spelling(
    quote="`",
    words=_BACKTICKED,
    phrases={**_LASTING, "double precision": "float64"},
    texts="select * from unnest(?)",
)
SPARK: Final = Spelling(
    quote="`",
    words=_BACKTICKED,
    phrases={**_LASTING, "double precision": "double"},
    texts="select explode(?)",
)
SPELLINGS: Final = {
    "snowflake": SNOWFLAKE,
    "bigquery": BIGQUERY,
    "databricks": SPARK,
    "spark": SPARK,
}
"""dbt's word for an engine -> its spelling; DuckDB's and PostgreSQL's is that of the statements."""

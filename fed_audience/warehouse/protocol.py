"""What every warehouse engine offers, and the name of a relation in it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from fed_audience.errors import WarehouseError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    import pyarrow as pa

_PART = re.compile(r'\s*(?:"((?:[^"]|"")+)"|([A-Za-z_][A-Za-z0-9_$]*))\s*(\.|$)')


def quoted(identifier: str) -> str:
    """Return ``identifier`` as a quoted SQL identifier."""
    return '"' + identifier.replace('"', '""') + '"'


@dataclass(frozen=True, slots=True)
class Relation:
    """A table or view; ``database`` None means the one of the connection."""

    schema: str
    name: str
    database: str | None = None

    def sql(self) -> str:
        """Return the quoted name, as it stands in a statement."""
        parts = (self.database, self.schema, self.name)
        return ".".join(quoted(part) for part in parts if part is not None)

    @classmethod
    def parse(cls, text: str) -> Relation:
        """Read what dbt renders for ``{{ this }}``: two or three parts, quoted or not.

        Raises WarehouseError when ``text`` is anything else; it never reaches a statement.
        """
        parts, position, more = [], 0, True
        while more and (match := _PART.match(text, position)):
            part, bare, dot = match.groups()
            parts.append(part.replace('""', '"') if part else bare)
            position, more = match.end(), dot == "."
        if more or position != len(text) or len(parts) not in {2, 3}:
            raise WarehouseError(
                "not the name of a relation",
                value=text,
                limit="schema.name or database.schema.name",
                fix="run dbt again, so that it writes the name itself",
            )
        return cls(parts[-2], parts[-1], parts[0] if len(parts) == 3 else None)  # noqa: PLR2004 - database.schema.name


class Warehouse(Protocol):
    """One brand's warehouse. Times are naive and UTC; values are bound, never pasted into SQL.

    An instance serves one thread at a time. Every method raises WarehouseError in one line
    that holds no value of a row, and ResourceError when the machine has no room left.
    ``dialect`` is dbt's word for the engine. Statements are written in the words that DuckDB and
    PostgreSQL share; an engine with other words respells them. Where it is not ``transactional``
    each statement stands alone, and what must change together is one statement.
    """

    dialect: str
    transactional: bool

    def query(self, statement: str, parameters: Sequence[object] = ()) -> pa.Table:
        """Run one SELECT with ``?`` placeholders and return all of its rows."""
        ...

    def stream(
        self, statement: str, parameters: Sequence[object] = (), *, batch_rows: int = 16_384
    ) -> Iterator[pa.RecordBatch]:
        """Yield the rows in batches of at most ``batch_rows``, in bounded memory.

        A stream has a connection of its own and reads what is committed: inside a
        transaction it does not see that transaction's writes.
        """
        ...

    def execute(self, statement: str, parameters: Sequence[object] = ()) -> int:
        """Run one statement and return the number of rows it changed (0 for DDL)."""
        ...

    def insert(self, relation: Relation, rows: pa.Table) -> int:
        """Append ``rows``, matching columns by name; return their number."""
        ...

    def transaction(self) -> AbstractContextManager[None]:
        """Commit everything inside, or nothing; an inner transaction joins the outer one."""
        ...

    def temporary(self, name: str) -> Relation:
        """Return where a table of that name stands which only this session sees.

        Create it with `create temp table`, insert, and drop it within a transaction.
        """
        ...

    def relation_exists(self, relation: Relation) -> bool:
        """Tell whether ``relation`` is a table or view of this warehouse."""
        ...

    def columns(self, relation: Relation) -> Mapping[str, str]:
        """Return column names and engine types in order; WarehouseError when it is missing."""
        ...

    def close(self) -> None:
        """Release everything; closing twice is harmless."""
        ...

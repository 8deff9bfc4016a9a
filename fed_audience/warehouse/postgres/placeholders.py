"""Where the ``?`` of a statement are, as PostgreSQL reads it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from psycopg import sql

from fed_audience.errors import WarehouseError

if TYPE_CHECKING:
    from collections.abc import Sequence

# What may hold a question mark that is none of ours, in the order in which it is tried: a string
# with backslashes, a string, a quoted name, a dollar-quoted string and the two kinds of comment.
_OPAQUE: Final = re.compile(
    r"(?<![A-Za-z0-9_$])[eE]'(?:[^'\\]|''|\\.)*'"
    r"|'(?:[^']|'')*'"
    r'|"(?:[^"]|"")*"'
    r"|(?<![A-Za-z0-9_$])\$(?P<tag>(?:[A-Za-z_]\w*)?)\$.*?\$(?P=tag)\$"
    r"|--[^\n]*"
    r"|/\*",
    re.DOTALL,
)
_COMMENT_EDGE: Final = re.compile(r"/\*|\*/")


def numbered(statement: str, parameters: Sequence[object]) -> str:
    """Return ``statement`` with its placeholders as ``$1``, ``$2``, ..., for values sent apart."""
    first, *rest = _parted(statement, parameters)
    return first + "".join(f"${i}{part}" for i, part in enumerate(rest, 1))


def composed(statement: str, parameters: Sequence[object]) -> sql.Composed:
    """Return ``statement`` with each value as a literal that libpq quotes.

    For COPY, which takes no values apart.
    """
    first, *rest = _parted(statement, parameters)
    pieces: list[sql.Composable] = [sql.SQL(first)]
    for value, part in zip(parameters, rest, strict=True):
        pieces += [sql.Literal(value), sql.SQL(part)]
    return sql.Composed(pieces)


def _parted(statement: str, parameters: Sequence[object]) -> list[str]:
    """Cut ``statement`` at its placeholders; raises WarehouseError when their number is another."""
    parts, begun, position = [], 0, 0
    while position < len(statement):
        if statement[position] == "?":
            parts.append(statement[begun:position])
            position = begun = position + 1
        elif opaque := _OPAQUE.match(statement, position):
            position = opaque.end()
            if opaque[0] == "/*":
                position = _after_comment(statement, position)
        else:
            position += 1
    parts.append(statement[begun:])
    if len(parts) != len(parameters) + 1:
        raise WarehouseError(
            "the statement and its values do not fit each other",
            value=f"{len(parts) - 1} placeholders, {len(parameters)} values",
            fix="give one value for each ? outside quotes and comments",
        )
    return parts


def _after_comment(statement: str, position: int) -> int:
    depth = 1
    while depth and (edge := _COMMENT_EDGE.search(statement, position)):
        depth += 1 if edge[0] == "/*" else -1
        position = edge.end()
    return len(statement) if depth else position

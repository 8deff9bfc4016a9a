"""What PostgreSQL says, in one line that holds no value of a row."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import psycopg

from fed_audience.warehouse.sqlstates import LOST, warehouse_error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fed_audience.errors import ResourceError, WarehouseError

_SERVER_SAID: Final = re.compile(r"(ERROR|FATAL|PANIC):\s+(.*)")


@contextmanager
def in_one_line(where: str) -> Iterator[None]:
    """Turn whatever PostgreSQL or its drivers raise into WarehouseError or ResourceError."""
    try:
        yield
    except psycopg.Error as error:
        # libpq itself, unlike the server, gives no state to what befalls a connection.
        state = LOST if isinstance(error, psycopg.OperationalError) else None
        said = error.diag.message_primary or str(error)
        raise warehouse_error(error.sqlstate or state, said, where) from None


def reading_error(error: Exception, where: str) -> WarehouseError | ResourceError:
    """Return the error for what stopped a stream; its driver hands on text, not a state."""
    text = str(error)
    said = _SERVER_SAID.search(text)
    if said is None:
        lost = text.rpartition("[libpq]")[2].strip() or "the connection ended"
        return warehouse_error(LOST, lost, where)
    severity, sentence = said.groups()
    state = getattr(error, "sqlstate", None) or (None if severity == "ERROR" else LOST)
    return warehouse_error(state, sentence, where)

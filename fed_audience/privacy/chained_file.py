"""A book that only grows: entries in a chain of hashes, appended in transactions of SQLite."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import sqlite3
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from fed_audience.errors import BudgetError, ResourceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

WAIT_SECONDS: Final = 30.0
_APPLICATION: Final = 0x46414242
"""``application_id`` of the file, so that another database is not taken for a book."""

_VERSION: Final = 1
_SCHEMA: Final = f"""
pragma application_id = {_APPLICATION};
pragma user_version = {_VERSION};
create table entries (number integer primary key, body text not null, chain text not null);
create table head (number integer not null, chain text not null);
insert into head values (0, '');
"""
_BUSY: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_REFUSED: Final = frozenset(
    {
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_READONLY,
    }
)
"""What the disk or its permissions refuse; every other fault is the file's own."""


@dataclass(frozen=True, slots=True)
class Entries:
    """All entries as they stand, oldest first, and the hash over them (empty without any)."""

    documents: tuple[Mapping[str, Any], ...]
    head: str


class _Writing:
    """The entries within one transaction."""

    def __init__(self, connection: sqlite3.Connection, found: Entries) -> None:
        self._connection = connection
        self.documents = found.documents
        self._head = found.head

    def append(self, document: Mapping[str, Any]) -> None:
        """Write one entry behind the others."""
        body = json.dumps(document, sort_keys=True, allow_nan=False)
        number, self._head = len(self.documents) + 1, _link(self._head, body)
        self._connection.execute("insert into entries values (?, ?, ?)", (number, body, self._head))
        self._connection.execute("update head set number = ?, chain = ?", (number, self._head))
        self.documents = (*self.documents, json.loads(body))


class ChainedFile:
    """Entries at ``path``, read whole and checked each time; made with the first one.

    ``book`` and ``key`` name it and its place in federation.yml when it is refused.
    """

    def __init__(self, path: Path, book: str, key: str) -> None:
        self.path = path
        self._book = book
        self._key = key

    def read(self) -> Entries:
        """Return all entries; raises BudgetError for a file that is not to be believed."""
        if not self.path.exists():
            return Entries((), "")
        with self._connected() as connection:
            return self._checked(connection)

    @contextmanager
    def writing(self) -> Iterator[_Writing]:
        """Hold the file alone; what was appended is on the disk when the context is left.

        An error inside leaves the file as it was.
        """
        if not self.path.exists():
            self._make()
        with self._connected() as connection:
            connection.execute("begin immediate")
            yield _Writing(connection, self._checked(connection))
            connection.execute("commit")

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        try:
            # SQLite would take an empty file for a new database.
            if self.path.stat().st_size == 0:
                raise self.untrue("it is empty")
            with closing(
                sqlite3.connect(
                    f"{self.path.absolute().as_uri()}?mode=rw",
                    uri=True,
                    timeout=WAIT_SECONDS,
                    isolation_level=None,
                )
            ) as connection:
                connection.execute("pragma synchronous = extra")
                yield connection
        except sqlite3.Error as error:
            raise self._fault(error) from error
        except OSError as error:
            raise self._unwritable(error.strerror or str(error)) from error

    def _checked(self, connection: sqlite3.Connection) -> Entries:
        """Read every entry, and the chain through them to the head."""
        (application,) = connection.execute("pragma application_id").fetchone()
        (version,) = connection.execute("pragma user_version").fetchone()
        if application != _APPLICATION:
            raise self.untrue("it is a database of something else")
        if version != _VERSION:
            raise self.untrue(f"it is of version {version}, this program reads {_VERSION}")
        documents, head = [], ""
        rows = connection.execute("select number, body, chain from entries order by number")
        for expected, (number, body, chain) in enumerate(rows, start=1):
            head = _link(head, body)
            if (number, chain) != (expected, head):
                raise self.untrue(f"entry {expected} is not the one that was written")
            documents.append(self._document(body))
        ends = connection.execute("select number, chain from head").fetchall()
        if ends != [(len(documents), head)]:
            raise self.untrue("entries were taken from its end, or put there")
        return Entries(tuple(documents), head)

    def _document(self, body: str) -> Mapping[str, Any]:
        try:
            found = json.loads(body)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise self.untrue("an entry is no document")
        return found

    def _make(self) -> None:
        """Make an empty book beside its place and link it there: never half a book is seen."""
        beside = self.path.with_name(f".{self.path.name}.{secrets.token_hex(4)}.part")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(beside)) as connection:
                connection.executescript(_SCHEMA)
            beside.chmod(0o600)
            os.link(beside, self.path)
        except FileExistsError:
            # Another process was first, and its book is as good.
            return
        except sqlite3.Error as error:
            raise self._unwritable(str(error)) from error
        except OSError as error:
            raise self._unwritable(error.strerror or str(error)) from error
        finally:
            with suppress(OSError):
                beside.unlink()

    def _fault(self, error: sqlite3.Error) -> BudgetError | ResourceError:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code in _BUSY:
            return ResourceError(
                f"another process holds {self._book}",
                value=f"waited {WAIT_SECONDS:g} s",
                looked=str(self.path),
                fix="wait until the other command has ended, then run this one again",
            )
        if code in _REFUSED:
            return self._unwritable(str(error))
        return self.untrue(str(error))

    def _unwritable(self, why: str) -> ResourceError:
        return ResourceError(
            f"{self._book} cannot be used, so nothing is released without it",
            value=why,
            looked=str(self.path),
            fix=f"correct {self._key} in federation.yml, its permissions, or free some space",
        )

    def untrue(self, why: str) -> BudgetError:
        """Return the refusal of a file that is not what was written."""
        return BudgetError(
            f"{self._book} is not to be believed: {why}",
            looked=str(self.path),
            fix="put it back from a copy that is not older than the last run; without it nobody "
            "knows what was spent, and nothing is released",
        )


def _link(head: str, body: str) -> str:
    return hashlib.sha256(f"{head}\n{body}".encode()).hexdigest()

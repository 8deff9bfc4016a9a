"""What every engine does in the same way: patience, transactions, missing relations, closing."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar, Final

from fed_audience.errors import WarehouseError
from fed_audience.warehouse.protocol import Relation

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

PATIENCE_S: Final = 5.0
"""Seconds for which what another program holds is tried again: a file, or the same rows."""

PAUSE_S: Final = 0.05
"""Seconds between two such tries."""


class Engine(ABC):
    """The half of a ``Warehouse`` that no engine words for itself.

    ``where`` names the warehouse in messages. ``MET_ANOTHER`` are the driver's errors of a
    statement that met another one on the same rows.
    """

    dialect: str
    temporary_schema: str
    transactional: bool = True
    MET_ANOTHER: ClassVar[tuple[type[Exception], ...]] = ()

    def __init__(self, where: str, patience_s: float) -> None:
        self._where = where
        self._patience_s = patience_s
        self._in_transaction = False
        self._closed = False

    def execute(self, statement: str, parameters: Sequence[object] = ()) -> int:
        """Run one statement and return the number of rows it changed.

        Outside a transaction, a statement that met another one on the same rows runs again.
        """
        deadline = time.monotonic() + self._patience_s
        while True:
            try:
                return self._changed(statement, parameters)
            except WarehouseError as error:
                in_vain = self._in_transaction or time.monotonic() >= deadline
                if in_vain or not self._met_another(error):
                    raise
            time.sleep(PAUSE_S)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit everything inside, or undo it; an inner transaction joins the outer one."""
        if self._in_transaction:
            yield
            return
        self._begin()
        self._in_transaction = True
        try:
            yield
        except BaseException:
            self._in_transaction = False
            self._roll_back()
            raise
        self._in_transaction = False
        self._commit()

    def temporary(self, name: str) -> Relation:
        """Return where a temporary table ``name`` of this session stands."""
        return Relation(self.temporary_schema, name)

    def relation_exists(self, relation: Relation) -> bool:
        """Tell whether ``relation`` is a table or view."""
        return bool(self._described(relation))

    def columns(self, relation: Relation) -> Mapping[str, str]:
        """Return column names and the engine's types, in order."""
        found = self._described(relation)
        if not found:
            raise WarehouseError(
                "relation does not exist",
                value=relation.sql(),
                looked=self._where,
                fix="run `dbt build` for this brand, or correct the name",
            )
        return found

    def _refuse_closed(self) -> None:
        if self._closed:
            raise WarehouseError(
                "this warehouse was closed", looked=self._where, fix="open it again"
            )

    def _met_another(self, error: WarehouseError) -> bool:
        return isinstance(error.__context__, self.MET_ANOTHER)

    @abstractmethod
    def _changed(self, statement: str, parameters: Sequence[object]) -> int:
        """Run one statement once; return how many rows it changed."""

    @abstractmethod
    def _described(self, relation: Relation) -> dict[str, str]:
        """Return column names and types in order, nothing for what does not exist."""

    @abstractmethod
    def _begin(self) -> None: ...

    @abstractmethod
    def _commit(self) -> None: ...

    @abstractmethod
    def _roll_back(self) -> None:
        """Undo what was begun; a connection that broke has nothing left to undo."""

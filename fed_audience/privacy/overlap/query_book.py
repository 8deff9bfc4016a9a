"""How often a brand has let its customers be compared with a partner's, month by month."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final, Literal

from fed_audience.errors import BudgetError
from fed_audience.privacy.chained_file import ChainedFile
from fed_audience.privacy.overlap.refusals import OverlapError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path
    from typing import Any

_FIELDS: Final = frozenset({"site", "partner", "query", "step", "month"})


@dataclass(frozen=True, slots=True)
class Query:
    """One query as ``site`` takes part in it: ``step`` says on which side."""

    site: str
    partner: str
    query: str
    step: Literal["asked", "answered"]


class QueryBook:
    """The book at ``path``: one entry a query, before anything of it is sent; never taken back.

    A pair's queries count in both directions. Safe among processes; raises BudgetError for a book
    that was changed or cut short, as a budget book does.
    """

    def __init__(self, path: Path) -> None:
        self._file = ChainedFile(path, "the book of overlap queries", "overlap.folder")

    def used(self, site: str, partner: str, now: datetime) -> int:
        """Return the queries of ``site`` with ``partner`` in the month of ``now`` (UTC)."""
        documents = self._documents(self._file.read().documents)
        return _used(documents, site, partner, _month(documents, now))

    def spend(self, query: Query, now: datetime, allowed: int) -> int:
        """Enter ``query``; return its number in the month, at most ``allowed``.

        A month that has begun does not end because a clock is set back. Raises BudgetError when
        none is left, OverlapError (replayed) for a query that its site has taken part in.
        """
        with self._file.writing() as entries:
            documents = self._documents(entries.documents)
            used, month = self._room(documents, query, now, allowed)
            entries.append({**asdict(query), "month": month})
            return used + 1

    def require_room(self, query: Query, now: datetime, allowed: int) -> None:
        """Raise as ``spend`` would, and enter nothing: before long work."""
        self._room(self._documents(self._file.read().documents), query, now, allowed)

    def _room(
        self, documents: tuple[Mapping[str, Any], ...], query: Query, now: datetime, allowed: int
    ) -> tuple[int, str]:
        """Return the queries used in the month, and the month."""
        if any((one["site"], one["query"]) == (query.site, query.query) for one in documents):
            raise OverlapError("replayed", detail=f"query {query.query[:8]}")
        month = _month(documents, now)
        used = _used(documents, query.site, query.partner, month)
        if used >= allowed:
            raise BudgetError(
                f"{query.site} has no query with {query.partner} left this month; nothing was sent",
                value=f"{used} asked or answered in {month}",
                limit=f"{allowed} a month (overlap.queries_per_month)",
                looked=str(self._file.path),
                fix="wait for the next month; each further count tells more of who is on both",
            )
        return used, month

    def _documents(self, found: tuple[Mapping[str, Any], ...]) -> tuple[Mapping[str, Any], ...]:
        if any(set(one) != _FIELDS for one in found):
            raise self._file.untrue("an entry has other fields than a query's")
        return found


def _month(documents: tuple[Mapping[str, Any], ...], now: datetime) -> str:
    return max((f"{now:%Y-%m}", *(str(one["month"]) for one in documents)))


def _used(documents: tuple[Mapping[str, Any], ...], site: str, partner: str, month: str) -> int:
    return sum(
        (one["site"], one["partner"], one["month"]) == (site, partner, month) for one in documents
    )

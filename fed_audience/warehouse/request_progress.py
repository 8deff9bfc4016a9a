"""How a training request stands, for whoever waits for it; nothing is changed, nothing is held."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fed_audience.warehouse.control import SCHEMA, control

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from fed_audience.warehouse.protocol import Warehouse

OPEN: Final = frozenset({"pending", "claimed"})


@dataclass(frozen=True, slots=True)
class RequestState:
    """A training request. ``detail``: how far a claimed one is, or why it ended as it did.

    ``finished_at``: naive UTC.
    """

    request_id: str
    status: str
    detail: str | None
    finished_at: datetime | None

    @property
    def is_open(self) -> bool:
        """Whether it is still to be trained."""
        return self.status in OPEN


def requests_of(
    warehouse: Warehouse, model_name: str, *, schema: str = SCHEMA
) -> tuple[RequestState, ...]:
    """Return all requests of a model, the newest first."""
    rows = warehouse.query(
        "select request_id, status, detail, finished_at"
        f" from {control('training_requests', schema).sql()} where model_name = ?"
        " order by requested_at desc, request_id desc",
        [model_name],
    ).to_pylist()
    return tuple(RequestState(**row) for row in rows)


def newest_of(states: Collection[RequestState], *, besides: Collection[str]) -> RequestState | None:
    """Return the first of ``states`` that is not among the ids ``besides``."""
    return next((one for one in states if one.request_id not in besides), None)


def last_scored(warehouse: Warehouse, model_name: str, *, schema: str = SCHEMA) -> datetime | None:
    """Return when customers were last scored with a model, naive UTC; None for never."""
    found: datetime | None = warehouse.query(
        f"select max(scored_at) as at from {control('scores', schema).sql()} where model_name = ?",
        [model_name],
    )["at"][0].as_py()
    return found

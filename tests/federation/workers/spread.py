"""Sites whose rows are spread over workers, some of which end where a test says so."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from fed_audience.federation import ArrowSource, SiteProgram
from fed_audience.federation.site.source import RowSource
from fed_audience.federation.workers.engine import InProcessEngine, Worker, WorkerLost
from fed_audience.federation.workers.spread_rows import SpreadRows
from tests.federation.example import KEY


def shares_of(rows: pa.Table, count: int, *, seed: int = 5) -> list[pa.Table]:
    """Deal ``rows`` to ``count`` shares, unevenly; the last of four and more has no row."""
    filled = count - (count > 3)
    owner = (np.random.default_rng(seed).random(rows.num_rows) ** 2 * filled).astype(np.int64)
    return [rows.take(np.flatnonzero(owner == share)) for share in range(count)]


def spread_program(
    name: str, shares: Sequence[pa.Table], engine: MortalEngine | None = None, **options: Any
) -> SiteProgram:
    """Return a site whose shares are held by workers of this process."""
    own = engine or InProcessEngine([ArrowSource(share) for share in shares])
    return SiteProgram(name, SpreadRows(own), KEY, **options)


def spread_programs(
    tables: Mapping[str, pa.Table], count: int, **options: Any
) -> dict[str, SiteProgram]:
    return {
        name: spread_program(name, shares_of(rows, count), **options)
        for name, rows in tables.items()
    }


class MortalEngine(InProcessEngine):
    """Workers that end when ``fate(share, method, call)`` says so.

    ``call`` counts the calls of a share over all its workers, from 0. ``started``: shares, in the
    order in which workers began.
    """

    def __init__(
        self,
        sources: Sequence[RowSource],
        fate: Callable[[int, str, int], bool] = lambda _share, _method, _call: False,
    ) -> None:
        super().__init__(sources)
        self.fate = fate
        self.started: list[int] = []
        self.calls = [0] * self.count

    def start(self, share: int, category_key: bytes) -> Worker:  # type: ignore[override]
        self.started.append(share)
        return MortalWorker(super().start(share, category_key), self, share)


class MortalWorker:
    def __init__(self, worker: Worker, engine: MortalEngine, share: int) -> None:
        self._worker: Worker | None = worker
        self._engine = engine
        self._share = share

    def begin(self, method: str, arguments: Sequence[Any]) -> Callable[[], Any]:
        if self._worker is None:
            raise WorkerLost("killed earlier")
        call = self._engine.calls[self._share]
        self._engine.calls[self._share] += 1
        if self._engine.fate(self._share, method, call):
            self._worker = None
            return self._lost
        return self._worker.begin(method, arguments)

    def stop(self) -> None:
        self._worker = None

    def _lost(self) -> Any:
        raise WorkerLost("killed by the test")

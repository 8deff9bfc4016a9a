"""A site whose shares are held by the actors of a real Ray cluster."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest

from fed_audience.federation import (
    ArrowSource,
    InProcessTransport,
    SiteProgram,
    TrainingEvent,
    train,
)
from fed_audience.federation.events import TreeGrown
from fed_audience.federation.workers.ray_engine import RayEngine, RayWorker
from fed_audience.federation.workers.spread_rows import SpreadRows
from tests.federation.example import KEY, manifest, programs, split, table
from tests.federation.workers.spread import shares_of

pytestmark = [
    pytest.mark.xdist_group("ray"),
    pytest.mark.filterwarnings("ignore"),  # Ray's own
]

NAMES = ("a", "b", "c")
TABLES = split(table(300, seed=5), np.arange(300) % 3, NAMES)


class Watched(RayEngine):
    """Remembers its workers, for a test to kill them."""

    def start(self, share: int, category_key: bytes) -> RayWorker:
        worker = super().start(share, category_key)
        self.workers = [*getattr(self, "workers", []), worker]
        return worker


@pytest.fixture
def engine(ray_cluster: None) -> Watched:
    sources = [ArrowSource(rows) for rows in shares_of(TABLES["a"], 2)]
    return Watched(sources, address="local", placing_seconds=300)


def test_a_killed_worker_does_not_change_a_byte(engine: Watched) -> None:
    """The worker's process is killed in the second tree, its share is read again by another."""
    agreed = manifest(NAMES, n_estimators=3, early_stopping_round=3, bagging_fraction=0.8)
    alone = train(InProcessTransport(programs(TABLES)), agreed)
    rows = SpreadRows(engine)
    killed: list[int] = []

    def kill(event: TrainingEvent) -> None:
        if isinstance(event, TreeGrown) and event.number == 2:
            killed.append(engine.workers[1].process)
            os.kill(killed[0], signal.SIGKILL)

    try:
        sites = programs(TABLES) | {"a": SiteProgram("a", rows, KEY)}
        result = train(InProcessTransport(sites), agreed, on_event=kill)
    finally:
        rows.close()
    assert killed
    assert len(engine.workers) == 3
    assert engine.workers[2].process != killed[0]
    assert result.sha256 == alone.sha256
    assert result.metrics == alone.metrics

"""What the coordinator holds while it sums long vectors of many sites.

The sites are stand-ins: they connect and send as sites do, but what they send nobody computed.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks.scale.coordinator import connected, peak_memory
from fed_audience.federation import messages as m
from fed_audience.federation.rounds.coordinator import Coordinator

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.scale.coordinator import Connected

COUNTS: Final = (100, 500)


def measure(
    counts: Sequence[int] = COUNTS,
    features: int = 200,
    bins: int = 255,
    nodes: int = 32,
    a_process: int = 125,
) -> Iterator[dict[str, Any]]:
    """Sum one level of the widest kind: gradient and hessian in 64 bits each.

    Over the first 100 sites, then over all.
    """
    elements = features * bins * nodes * 2
    with connected(max(counts), a_process, answer="vector", words=2 * elements) as found:
        for level, count in enumerate(counts, 1):
            yield _row(found, count, level, elements, nodes)


def _row(found: Connected, count: int, level: int, elements: int, nodes: int) -> dict[str, Any]:
    coordinator, idle = Coordinator(found.transport, "scale"), peak_memory()
    request = m.GrowLevel(
        slot=coordinator.slot(0, level),
        split_nodes=np.zeros((0, 4), np.int32),
        split_rules=np.zeros((0, 3), np.int32),
        left_codes=np.zeros((0, 32), np.uint8),
        build=np.zeros((nodes, 2), np.int32),
    )
    began, spent = time.perf_counter(), time.process_time()
    sums = coordinator.sum(request, found.names[:count], m.LevelHistogram, elements)
    seconds, spent = time.perf_counter() - began, time.process_time() - spent
    if not (sums == count * (2**32 + 1)).all():
        raise SystemExit("the sums are wrong")
    return {
        "sites": count,
        "bytes_a_site": elements * 8,
        "bytes_in_all": elements * 8 * count,
        "idle_mib": round(idle / 2**20, 1),
        "peak_mib": round(peak_memory() / 2**20, 1),
        "round_s": round(seconds, 2),
        "coordinator_cpu_s": round(spent, 2),
    }

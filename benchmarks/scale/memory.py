"""What the coordinator holds while it sums long vectors of many sites.

The sites are stand-ins: they connect and send as sites do, but what they send nobody computed.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from benchmarks.scale.coordinator import connected, peak_memory
from fed_audience.federation import messages as m
from fed_audience.federation.rounds.coordinator import Coordinator


def measure(
    sites: int = 500,
    features: int = 200,
    bins: int = 255,
    nodes: int = 32,
    a_process: int = 50,
) -> list[dict[str, Any]]:
    """Sum one level of the widest kind over all sites: gradient and hessian in 64 bits each."""
    elements = features * bins * nodes * 2
    nothing = np.zeros((0, 4), np.int32)
    with connected(sites, a_process, answer="vector", words=2 * elements) as found:
        coordinator, idle = Coordinator(found.transport, "scale"), peak_memory()
        request = m.GrowLevel(
            slot=coordinator.slot(0, 1),
            split_nodes=nothing,
            split_rules=np.zeros((0, 3), np.int32),
            left_codes=np.zeros((0, 32), np.uint8),
            build=np.zeros((nodes, 2), np.int32),
        )
        began, spent = time.perf_counter(), time.process_time()
        sums = coordinator.sum(request, found.names, m.LevelHistogram, elements)
        seconds, spent = time.perf_counter() - began, time.process_time() - spent
        if not (sums == sites * (2**32 + 1)).all():
            raise SystemExit("the sums are wrong")
    return [
        {
            "sites": sites,
            "bytes_a_site": elements * 8,
            "bytes_in_all": elements * 8 * sites,
            "idle_mib": round(idle / 2**20, 1),
            "peak_mib": round(peak_memory() / 2**20, 1),
            "round_s": round(seconds, 2),
            "coordinator_cpu_s": round(spent, 2),
        }
    ]

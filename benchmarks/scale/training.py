"""A training over many sites with secure sums, beside the same in one process."""

from __future__ import annotations

import time
from typing import Any

from benchmarks.scale.coordinator import connected, peak_memory
from benchmarks.scale.table import KEY, manifest, share
from fed_audience.federation import InProcessTransport, SiteProgram, train


def measure(
    sites: int = 500, rows: int = 20_000, trees: int = 2, depth: int = 3, a_process: int = 50
) -> list[dict[str, Any]]:
    """Train both ways; the models must be the same bytes."""
    with connected(sites, a_process, answer="train", rows=rows) as found:
        names, transport = found.names, found.transport
        began = time.perf_counter()
        ours = train(transport, manifest(names, trees, depth))
        seconds, peak = time.perf_counter() - began, peak_memory()
    # Over one site in this process: whose rows they are makes no difference to the model.
    alone = SiteProgram(names[0], share(0, 1, rows), KEY)
    pooled = train(InProcessTransport({names[0]: alone}), manifest(names[:1], trees, depth))
    if ours.model_text != pooled.model_text:
        raise SystemExit("the model differs from the one trained in process")
    if not ours.protection.secure:
        raise SystemExit("the sums were not masked")
    return [
        {
            "sites": sites,
            "rows": rows,
            "trees": len(ours.model.trees),
            "rounds": ours.rounds,
            "seconds": round(seconds, 1),
            "coordinator_peak_mib": round(peak / 2**20, 1),
            "bytes_up_a_site": max(ours.bytes_up.values()),
            "bytes_down_a_site": max(ours.bytes_down.values()),
            "model": ours.sha256,
            "in_process": pooled.sha256,
        }
    ]

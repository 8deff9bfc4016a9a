"""A training over many sites with secure sums, beside the same in one process."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, Final

from benchmarks.scale.coordinator import connected, peak_memory
from benchmarks.scale.table import KEY, manifest, share
from fed_audience.federation import InProcessTransport, SiteProgram, train

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.scale.coordinator import Connected
    from fed_audience.federation import TrainingEvent

COUNTS: Final = (100, 500)


def measure(
    counts: Sequence[int] = COUNTS,
    rows: int = 20_000,
    trees: int = 2,
    depth: int = 3,
    a_process: int = 125,
) -> Iterator[dict[str, Any]]:
    """Train over the first 100 sites, then over all; in one process it must be the same bytes."""
    with connected(max(counts), a_process, answer="train", rows=rows) as found:
        for count in counts:
            yield _row(found, count, rows, trees, depth)


def _row(found: Connected, count: int, rows: int, trees: int, depth: int) -> dict[str, Any]:
    names, began = found.names[:count], time.perf_counter()
    steps: list[tuple[float, str]] = []

    def note(event: TrainingEvent) -> None:
        steps.append((round(time.perf_counter() - began, 2), type(event).__name__))
        sys.stderr.write(f"{count} sites, {steps[-1][0]:.1f} s: {steps[-1][1]}\n")

    ours = train(found.transport, manifest(names, trees, depth), on_event=note)
    seconds, peak = time.perf_counter() - began, peak_memory()
    # Over one site in this process: whose rows they are makes no difference to the model.
    whole = share(range(count), len(found.names), rows)
    alone = SiteProgram(names[0], whole, KEY)
    pooled = train(InProcessTransport({names[0]: alone}), manifest(names[:1], trees, depth))
    if ours.model_text != pooled.model_text:
        raise SystemExit("the model differs from the one trained in process")
    if not ours.protection.secure:
        raise SystemExit("the sums were not masked")
    return {
        "sites": count,
        "rows": ours.counts.rows,
        "trees": len(ours.model.trees),
        "rounds": ours.rounds,
        "seconds": round(seconds, 1),
        "steps": steps,
        "coordinator_peak_mib": round(peak / 2**20, 1),
        "bytes_up_a_site": max(ours.bytes_up.values()),
        "bytes_down_a_site": max(ours.bytes_down.values()),
        "model": ours.sha256,
        "in_process": pooled.sha256,
    }

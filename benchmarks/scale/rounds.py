"""How a round grows with the number of sites: 10,000 bytes to each, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from benchmarks.federation.loopback import processor_seconds
from benchmarks.federation.round_time import sampled, summary
from benchmarks.scale.coordinator import connected, peak_memory

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.scale.coordinator import Connected

COUNTS: Final = (10, 50, 200, 500)


def measure(
    counts: Sequence[int] = COUNTS,
    size: int = 10_000,
    a_process: int = 125,
    rounds: int = 100,
    warm_up: int = 10,
) -> Iterator[dict[str, Any]]:
    """Connect the most sites once; time rounds with the first 10, 50, ... of them."""
    with connected(max(counts), a_process, answer="echo") as found:
        for count in counts:
            yield _row(found, count, bytes(size), rounds, warm_up)


def _row(found: Connected, count: int, body: bytes, rounds: int, warm_up: int) -> dict[str, Any]:
    """Time rounds with the first ``count`` sites; all processes share the cores of this machine."""
    names, spent = found.names[:count], processor_seconds(found.processes)
    times, own = sampled(lambda: found.transport.call(body, names, 60), count, rounds, warm_up)
    spent = processor_seconds(found.processes) - spent
    return {
        "sites": count,
        "bytes": len(body),
        **summary(times, own),
        "sites_cpu_ms": round(1_000 * spent / (rounds + warm_up), 3),
        "peak_mib": round(peak_memory() / 2**20, 1),
        "samples_ms": [round(one, 2) for one in times],
    }

"""How a round grows with the number of sites: 10,000 bytes to each, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.federation.round_time import timed
from benchmarks.scale.coordinator import connected, peak_memory

if TYPE_CHECKING:
    from collections.abc import Sequence


def measure(
    counts: Sequence[int] = (10, 50, 200, 500),
    size: int = 10_000,
    a_process: int = 50,
    rounds: int = 60,
    warm_up: int = 10,
) -> list[dict[str, Any]]:
    """Connect the most sites once; time rounds with the first 10, 50, ... of them."""
    body = bytes(size)
    with connected(max(counts), a_process, answer="echo") as (names, transport):
        return [
            {
                "sites": count,
                "bytes": size,
                **timed(
                    lambda: transport.call(body, names[:count], 60),  # noqa: B023 - used in this turn
                    count,
                    rounds,
                    warm_up,
                ),
                "peak_mib": round(peak_memory() / 2**20, 1),
            }
            for count in counts
        ]

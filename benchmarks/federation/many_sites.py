"""How a round grows with the number of sites."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.federation.loopback import all_connected, federation, processes
from benchmarks.federation.round_time import ECHO, timed

if TYPE_CHECKING:
    from collections.abc import Sequence


def measure(
    counts: Sequence[int] = (10, 20, 30, 40, 50),
    size: int = 10_000,
    a_process: int = 10,
    rounds: int = 200,
    warm_up: int = 40,
) -> list[dict[str, Any]]:
    """Connect the most sites once; time rounds with the first 10, 20, ... of them."""
    names = [f"s{number:03d}" for number in range(max(counts))]
    body = bytes(size)
    with federation(names) as (folder, transport):
        homes = [str(folder / name) for name in names]
        orders = [
            {"address": transport.address, "homes": homes[start : start + a_process]}
            for start in range(0, len(homes), a_process)
        ]
        with processes(ECHO, orders):
            all_connected(transport, names)
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
                }
                for count in counts
            ]

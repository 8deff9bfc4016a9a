"""A coordinator in this process, and its sites in a few others."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.federation.loopback import all_connected, federation, processes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fed_audience.federation.transports.grpc import GrpcTransport


@dataclass(frozen=True, slots=True)
class Connected:
    """Sites that have a stream. ``processes``: numbers of those that they live in."""

    names: tuple[str, ...]
    transport: GrpcTransport
    processes: list[int]


@contextmanager
def connected(sites: int, a_process: int, **order: Any) -> Iterator[Connected]:
    """Connect ``sites`` sites, ``a_process`` in each process."""
    names = tuple(f"s{number:03d}" for number in range(sites))
    with federation(names) as (folder, transport):
        homes = [str(folder / name) for name in names]
        orders = [
            {
                "address": transport.address,
                "homes": homes[first : first + a_process],
                "first": first,
                "sites": sites,
                **order,
            }
            for first in range(0, sites, a_process)
        ]
        with processes("benchmarks.scale.sites", orders) as numbers:
            all_connected(transport, names)
            yield Connected(names, transport, numbers)


def peak_memory() -> int:
    """Most bytes that this process has held so far, see proc(5): VmHWM."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))

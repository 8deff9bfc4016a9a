"""A coordinator in this process, and its sites in a few others."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.federation.loopback import all_connected, federation, processes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fed_audience.federation.transports.grpc import GrpcTransport


@contextmanager
def connected(
    sites: int, a_process: int, **order: Any
) -> Iterator[tuple[tuple[str, ...], GrpcTransport]]:
    """Connect ``sites`` sites, ``a_process`` in each process; yields names and transport."""
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
        with processes("benchmarks.scale.sites", orders):
            all_connected(transport, names)
            yield names, transport


def peak_memory() -> int:
    """Most bytes that this process has held so far, see proc(5): VmHWM."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))

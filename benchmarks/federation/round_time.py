"""How long one round takes: a request to each site, a reply of the same length from each."""

from __future__ import annotations

import multiprocessing
import socket
import statistics
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

from benchmarks.federation.loopback import all_connected, federation, processes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

ECHO: Final = "benchmarks.federation.echo"


def measure(
    sizes: Sequence[int] = (10_000, 100_000, 2_000_000),
    sites: int = 3,
    rounds: int = 500,
    warm_up: int = 100,
) -> list[dict[str, Any]]:
    """Time rounds with each size; return a row for each size and way."""
    names = [f"s{number:02d}" for number in range(sites)]
    rows = []
    with federation(names) as (folder, transport):
        orders = [{"address": transport.address, "homes": [str(folder / name)]} for name in names]
        with processes(ECHO, orders):
            all_connected(transport, names)
            for size in sizes:
                body = bytes(size)
                found = timed(lambda: transport.call(body, names, 60), sites, rounds, warm_up)  # noqa: B023 - used in this turn
                rows.append({"over": "gRPC, mutual TLS", "bytes": size, "sites": sites, **found})
    for size in sizes:
        found = _bare(size, sites, rounds, warm_up)
        rows.append({"over": "bare TCP, plain", "bytes": size, "sites": sites, **found})
    return rows


def timed(
    call: Callable[[], Iterable[object]], replies: int, rounds: int, warm_up: int
) -> dict[str, float]:
    """Return milliseconds of a round, and of this process's processor."""
    return summary(*sampled(call, replies, rounds, warm_up))


def sampled(
    call: Callable[[], Iterable[object]], replies: int, rounds: int, warm_up: int
) -> tuple[list[float], float]:
    """Return milliseconds of each round after the ``warm_up``, and of the processor for one."""
    taken = []
    for number in range(warm_up + rounds):
        if number == warm_up:
            processor = time.process_time()
        began = time.perf_counter()
        if len(list(call())) != replies:
            raise SystemExit("a site did not answer")
        taken.append(1_000 * (time.perf_counter() - began))
    return taken[warm_up:], 1_000 * (time.process_time() - processor) / rounds


def summary(taken: Sequence[float], processor: float) -> dict[str, float]:
    """Return median and 95th percentile of what rounds took, beside the processor's part."""
    ordered = sorted(taken)
    return {
        "median_ms": round(statistics.median(ordered), 3),
        "p95_ms": round(ordered[int(0.95 * len(ordered))], 3),
        "coordinator_cpu_ms": round(processor, 3),
    }


def _bare(size: int, sites: int, rounds: int, warm_up: int) -> dict[str, float]:
    """Time the same exchange over sockets and nothing else, one after the other."""
    context = multiprocessing.get_context("spawn")
    body = bytes(size)
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        listener.settimeout(60)
        ends = []
        for _ in range(sites):
            process = context.Process(
                target=_mirror, args=(listener.getsockname()[1], size), daemon=True
            )
            process.start()
            stack.callback(process.join)
            stack.callback(process.kill)
            end, _address = listener.accept()
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            ends.append(stack.enter_context(end))

        def call() -> list[int]:
            for end in ends:
                end.sendall(body)
            return [_read(end, size) for end in ends]

        return timed(call, sites, rounds, warm_up)


def _mirror(port: int, size: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as end:
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        body = bytes(size)
        while _read(end, size):
            end.sendall(body)


def _read(end: socket.socket, size: int) -> int:
    """Read ``size`` bytes; return fewer when the peer has hung up."""
    held = bytearray(size)
    view, read = memoryview(held), 0
    while read < size:
        count = end.recv_into(view[read:])
        if count == 0:
            return 0
        read += count
    return read

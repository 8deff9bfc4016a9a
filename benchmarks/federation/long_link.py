"""A link of a given length on this machine, and how long it really is."""

from __future__ import annotations

import json
import socket
import statistics
import tempfile
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.federation.delay import LATE_UNIT
from benchmarks.federation.loopback import processes

if TYPE_CHECKING:
    from collections.abc import Iterator

_PINGS: Final = 60
_WORD: Final = bytes(100)
_PATIENCE: Final = 30.0


@dataclass(frozen=True, slots=True)
class LongLink:
    """A link whose echo takes a given time. ``hold``: seconds that its proxy holds a byte.

    ``echo_ms``: median of the echo of 100 bytes over an idle link; ``uncorrected_ms``: the same
    where the proxy holds bytes for half the round trip, and its own work comes on top.
    """

    hold: float
    echo_ms: float
    uncorrected_ms: float

    @classmethod
    def of(cls, round_trip: float) -> LongLink:
        """Find out what a proxy must hold for an echo of ``round_trip`` seconds."""
        uncorrected = _echo(round_trip / 2)
        hold = round_trip / 2 - max(0.0, uncorrected - round_trip) / 2
        return cls(hold, round(1_000 * _echo(hold), 3), round(1_000 * uncorrected, 3))

    @contextmanager
    def before(self, address: str, told: Path) -> Iterator[str]:
        """Yield an address that leads to ``address``; ``told`` will say how late bytes were."""
        host, _, port = address.rpartition(":")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            own = probe.getsockname()[1]
        order = {
            "host": host,
            "to": int(port),
            "port": own,
            "seconds": self.hold,
            "told": str(told),
        }
        with processes("benchmarks.federation.delay", [order]):
            yield f"127.0.0.1:{own}"


def late_ms(told: Path) -> dict[str, float]:
    """Say by how many milliseconds the pieces that a proxy carried were late."""
    counts = {int(late): count for late, count in json.loads(told.read_text("ascii")).items()}
    ordered = sorted(counts.items())
    found, passed, total = {}, 0, sum(counts.values())
    for late, count in ordered:
        passed += count
        for name, share in (("late_median_ms", 0.5), ("late_p95_ms", 0.95)):
            if passed >= share * total and name not in found:
                found[name] = round(1_000 * LATE_UNIT * late, 2)
    return found


def _echo(hold: float) -> float:
    """Median of the seconds that an echo takes through a proxy that holds bytes for ``hold``."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="fed-audience-bench-"))
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        threading.Thread(target=_mirror, args=(listener,), daemon=True).start()
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        link = LongLink(hold, 0.0, 0.0)
        through = stack.enter_context(link.before(address, Path(folder) / "late.json"))
        end = stack.enter_context(_connected(through))
        return statistics.median(_ping(end) for _ in range(_PINGS))


def _ping(end: socket.socket) -> float:
    began = time.perf_counter()
    end.sendall(_WORD)
    if end.recv(len(_WORD), socket.MSG_WAITALL) != _WORD:
        raise SystemExit("the proxy hung up")
    return time.perf_counter() - began


def _mirror(listener: socket.socket) -> None:
    end, _ = listener.accept()
    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with end:
        while piece := end.recv(2**16):
            end.sendall(piece)


def _connected(address: str) -> socket.socket:
    """Connect to a proxy that may still be starting."""
    host, _, port = address.rpartition(":")
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            end = socket.create_connection((host, int(port)), timeout=_PATIENCE)
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return end

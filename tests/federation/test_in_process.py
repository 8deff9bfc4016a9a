from __future__ import annotations

import threading
import time

import pytest

from fed_audience.errors import FederationError
from fed_audience.federation import Envelope, InProcessTransport
from fed_audience.federation.site import SiteProgram
from tests.federation.example import KEY, programs, run, table


class Slow(SiteProgram):
    """Counts how many sites work at once."""

    working = 0
    most = 0
    lock = threading.Lock()

    def handle(self, body: bytes) -> bytes:
        with Slow.lock:
            Slow.working += 1
            Slow.most = max(Slow.most, Slow.working)
        time.sleep(0.02)
        with Slow.lock:
            Slow.working -= 1
        return self.name.encode() + body


@pytest.mark.parametrize("threads", [1, 2])
def test_sites_work_at_once_up_to_the_bound(threads: int) -> None:
    Slow.working = Slow.most = 0
    sites = {f"s{i}": Slow(f"s{i}", programs({"x": table(1)})["x"]._source, KEY) for i in range(6)}
    replies, lost = InProcessTransport(sites, threads=threads).call(b"!", sorted(sites), 1.0)
    assert replies == {name: f"{name}!".encode() for name in sites}
    assert lost == set()
    assert Slow.most == threads


class Busy(SiteProgram):
    """Computes for ``seconds`` of processor time and answers with the thread it ran in."""

    seconds = 0.0

    def handle(self, body: bytes) -> bytes:
        ends = time.thread_time() + self.seconds
        while time.thread_time() < ends:
            pass
        return body + threading.current_thread().name.encode()


@pytest.mark.parametrize(("seconds", "takes_turns"), [(0.0, True), (0.02, False)])
def test_sites_take_turns_while_their_answers_are_brief(
    monkeypatch: pytest.MonkeyPatch, *, seconds: float, takes_turns: bool
) -> None:
    monkeypatch.setattr(Busy, "seconds", seconds)
    source = programs({"x": table(1)})["x"]._source
    transport = InProcessTransport({name: Busy(name, source, KEY) for name in "ab"}, threads=2)
    transport.call(b"", ["a", "b"], 1.0)
    replies, _ = transport.call(b"", ["a", "b"], 1.0)
    here = threading.current_thread().name.encode()
    assert all((thread == here) == takes_turns for thread in replies.values())


def test_every_byte_both_ways_is_shown_before_anyone_uses_it() -> None:
    seen: list[Envelope] = []
    result = run({"a": table(300), "b": table(300, seed=9)}, on_message=seen.append)
    assert len(seen) == 2 * 2 * result.rounds
    down = sum(len(e.body) for e in seen if e.direction == "to_site" and e.site == "a")
    assert down == result.bytes_down["a"]


def test_an_unknown_site_is_named() -> None:
    with pytest.raises(FederationError, match="not in this process; value: z"):
        InProcessTransport(programs({"a": table(1)})).call(b"", ["z"], 1.0)

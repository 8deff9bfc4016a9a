"""The federation part: its figures, and that what it measures runs."""

from __future__ import annotations

import importlib
import json
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks.federation.goals import GOALS
from benchmarks.federation.long_link import LongLink, late_ms
from benchmarks.federation.plan import BLOCKS, measurements
from benchmarks.privacy.goals import Found
from benchmarks.privacy.plan import Measurement
from benchmarks.runner import measure
from tests.federation.grpc.network import until


def values(found: Found) -> list[Any]:
    return [goal.state(found)["value"] for goal in GOALS]


def test_nothing_measured_is_no_figure() -> None:
    assert values({}) == [None] * 4


def test_each_goal_is_computed_from_its_rows() -> None:
    found: Found = {
        "round_time": [
            {"over": "gRPC, mutual TLS", "bytes": 100_000, "median_ms": 3.0},
            {"over": "gRPC, mutual TLS", "bytes": 2_000_000, "median_ms": 40.0},
            {"over": "bare TCP, plain", "bytes": 100_000, "median_ms": 9.0},
        ],
        "three_agents": [
            {"who": "fed-audience", "seconds": 4.0},
            {"who": "XGBoost federated", "seconds": 10.0},
        ],
        "wide_link": [{"round_trip_ms": 0, "seconds": 5.0}, {"round_trip_ms": 50, "seconds": 38.5}],
        "many_sites": [{"sites": 10, "median_ms": 3.0}, {"sites": 50, "median_ms": 15.0}],
    }
    assert values(found) == [3.0, 0.4, 33.5, 0.3]


@pytest.mark.parametrize("one", measurements(), ids=lambda one: one.block)
def test_every_block_is_a_module_that_can_be_run(one: Measurement) -> None:
    module = importlib.import_module(f"benchmarks.{one.part}.{one.module}")
    assert callable(module.measure)
    assert BLOCKS[one.block]


def test_rounds_of_processes_are_timed_beside_bare_sockets(tmp_path: Path) -> None:
    options = (("sizes", (1_000,)), ("sites", 1), ("rounds", 5), ("warm_up", 1))
    sample = measure(Measurement("round_time", "round_time", options, part="federation"), tmp_path)
    assert [row["over"] for row in sample["rows"]] == ["gRPC, mutual TLS", "bare TCP, plain"]
    assert all(0 < row["median_ms"] <= row["p95_ms"] for row in sample["rows"])


def test_the_long_link_holds_every_byte_for_its_time(tmp_path: Path) -> None:
    told = tmp_path / "late.json"
    with socket.create_server(("127.0.0.1", 0)) as target:
        answering = threading.Thread(target=_echo_once, args=(target,), daemon=True)
        answering.start()
        address = f"127.0.0.1:{target.getsockname()[1]}"
        with LongLink(0.1, 0.0, 0.0).before(address, told) as through, _connected(through) as end:
            began = time.monotonic()
            end.sendall(b"x" * 300_000)
            read = 0
            while read < 300_000:
                read += len(end.recv(2**16))
            assert time.monotonic() - began >= 0.2
            until(lambda: told.exists() and bool(json.loads(told.read_text())), 60)
    late = late_ms(told)
    assert 0 <= late["late_median_ms"] <= late["late_p95_ms"]


def test_a_link_is_corrected_by_what_its_proxy_adds() -> None:
    link = LongLink.of(0.02)
    assert link.uncorrected_ms >= 20
    assert link.hold == pytest.approx(0.02 - link.uncorrected_ms / 2_000, abs=1e-5)


def test_how_late_bytes_were_is_read_from_their_counts(tmp_path: Path) -> None:
    told = tmp_path / "late.json"
    told.write_text(json.dumps({"900": 1, "3": 90, "20": 9}))
    assert late_ms(told) == {"late_median_ms": 0.03, "late_p95_ms": 0.2}


def _connected(address: str) -> socket.socket:
    port = int(address.rpartition(":")[2])
    for _ in range(200):
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=10)
        except OSError:
            time.sleep(0.05)
    raise AssertionError("the proxy did not start")


def _echo_once(target: socket.socket) -> None:
    end, _ = target.accept()
    with end:
        while piece := end.recv(2**16):
            end.sendall(piece)

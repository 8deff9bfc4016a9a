"""Agents as processes that are killed, or freeze without a word."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.federation.grpc.agent import agent_process
from tests.federation.grpc.network import Federation, until


@pytest.fixture
def federation(tmp_path: Path) -> Federation:
    found = Federation(tmp_path)
    found.enrol("north")
    return found


def test_a_killed_agent_is_missed_at_once_and_its_successor_let_in(
    federation: Federation,
) -> None:
    with federation.transport() as transport:
        with agent_process(federation, transport.address, "north") as process:
            assert transport.wait_for(["north"], 20) == []
            assert dict(transport.call(b"1", ["north"], 5)) == {"north": b"echo 1"}
            process.kill()
            until(lambda: transport.sites() == [])
        with federation.link(transport.address, "north"):
            assert dict(transport.call(b"2", ["north"], 10)) == {"north": b"echo 2"}


def test_a_frozen_agent_gives_way_and_does_not_take_the_place_back(
    federation: Federation,
) -> None:
    with (
        federation.transport() as transport,
        agent_process(federation, transport.address, "north") as process,
    ):
        assert transport.wait_for(["north"], 20) == []
        process.send_signal(signal.SIGSTOP)
        with federation.link(transport.address, "north") as second:
            assert second.wait_connected(10)
            assert dict(transport.call(b"1", ["north"], 5)) == {"north": b"echo 1"}
            process.send_signal(signal.SIGCONT)
            assert process.wait(90) != 0  # keepalives of a frozen connection run out
            assert dict(transport.call(b"2", ["north"], 5)) == {"north": b"echo 2"}
            assert second.connected

"""What long-running programs share: one a folder, an orderly end, logs, a metrics page."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import urllib.request
from pathlib import Path

import pytest

from fed_audience.errors import ResourceError
from fed_audience.jobs.service import (
    JsonLines,
    Stopping,
    is_running,
    logging_to_stderr,
    metrics_page,
    only_one,
)


def test_two_programs_of_a_kind_do_not_share_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "agent"
    assert not is_running(folder, "agent")
    with only_one(folder, "agent"):
        assert is_running(folder, "agent")
        assert not is_running(folder, "coordinator")
        with (
            pytest.raises(ResourceError, match=f"another agent .* process {os.getpid()}"),
            only_one(folder, "agent"),
        ):
            pytest.fail("two of them ran")
    assert not is_running(folder, "agent")
    with only_one(folder, "agent"):
        assert (folder / "agent.pid").read_text() == f"{os.getpid()}\n"


@pytest.mark.parametrize(
    ("number", "interrupted"), [(signal.SIGTERM, False), (signal.SIGINT, True)]
)
def test_a_signal_stops_once_and_says_which(number: int, *, interrupted: bool) -> None:
    before = signal.getsignal(number)
    told = []
    with Stopping() as stopping:
        stopping.on_stop = lambda: told.append(1)
        assert not stopping.wait(0.0)
        os.kill(os.getpid(), number)
        assert stopping.wait(5.0)
    assert (stopping.interrupted, told) == (interrupted, [1])
    assert signal.getsignal(number) == before


def test_a_log_line_is_one_json_object_with_what_the_event_adds() -> None:
    record = logging.LogRecord(
        "fed_audience.x", logging.WARNING, "", 0, "site %s\nleft", ("a",), None
    )
    record.event, record.secret = "left", object()
    line = JsonLines().format(record)
    assert "\n" not in line
    found = json.loads(line)
    assert (found["message"], found["level"], found["event"]) == ("site a\nleft", "warning", "left")
    assert "secret" not in found
    assert found["at"].endswith("+00:00")


@pytest.mark.parametrize("as_json", [False, True])
def test_the_log_goes_to_stderr_within_the_block_and_nowhere_new_after_it(
    *, as_json: bool, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    log = logging.getLogger("fed_audience.jobs")
    with logging_to_stderr(as_json=as_json):
        log.info("inside")
    log.warning("outside")
    said = capsys.readouterr().err
    assert "inside" in said
    assert said.startswith("{") == as_json
    assert "outside" not in said
    assert caplog.messages == ["outside"]


def test_metrics_are_served_while_the_program_runs_and_a_taken_port_is_named() -> None:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{found.getsockname()[1]}"
        found.listen()
        with pytest.raises(ResourceError, match="cannot be served"), metrics_page(address):
            pytest.fail("it was served on a port that is taken")
    with metrics_page(address), urllib.request.urlopen(f"http://{address}/metrics") as page:
        assert b"python_info" in page.read()
    with metrics_page(None):
        pass

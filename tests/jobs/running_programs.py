"""Coordinator and agents of three small brands as processes of their own, over mutual TLS."""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, Final, Self

import yaml
from typer.testing import CliRunner

from fed_audience.cli import main
from fed_audience.cli.app import app
from fed_audience.federation.development_authority import DevelopmentAuthority
from tests.jobs.small_federation import AS_OF
from tests.jobs.three_organisations import KEY, SITES, Organisations

OPERATOR: Final = "operator"
PATIENCE: Final = 120.0
"""Seconds to wait for what must happen: a busy machine is no failure, and waits end early."""

# Forked from a process that has imported them already: a start costs a tenth of a second.
_FORK: Final = multiprocessing.get_context("forkserver")
_FORK.set_forkserver_preload(
    [
        "fed_audience.cli.app",
        "fed_audience.jobs.agent_service",
        "fed_audience.jobs.coordinator_service",
    ]
)


def serve(folder: Path, arguments: list[str]) -> None:
    """Do what `fed-audience ARGUMENTS` does in ``folder``; what it prints goes to `out.txt`."""
    os.chdir(folder)
    os.environ["FED_AUDIENCE_CATEGORY_KEY"] = KEY.decode()
    out = os.open("out.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(out, 1)
    os.dup2(out, 2)
    main(arguments)


@dataclass
class Programs:
    """The processes of ``organisations``, whose folders they share with it; ended on leaving."""

    organisations: Organisations
    running: dict[str, ForkServerProcess] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.port, self.metrics = free_ports(2)
        folder, authority = self.organisations.folder, DevelopmentAuthority.create()
        self._status = folder / OPERATOR / "coordinator" / "status.json"
        authority.issue_coordinator(["localhost"], folder / OPERATOR / "certificates")
        for site in SITES:
            authority.issue_site(site, folder / site / "certificates")
            self.configure(site, agent={"coordinator": f"localhost:{self.port}"})
            self.configure(site, agent={"poll_seconds": 0.2})
        self.configure(
            OPERATOR,
            coordinator={
                "listen": f"127.0.0.1:{self.port}",
                "metrics": f"127.0.0.1:{self.metrics}",
                "poll_seconds": 0.2,
                "deadline_seconds": 120,
            },
        )

    def configure(self, who: str, **changes: dict[str, Any]) -> None:
        path = self.organisations.folder / who / "federation.yml"
        document = yaml.safe_load(path.read_text())
        for key, value in changes.items():
            document[key] |= value
        path.write_text(yaml.safe_dump(document, sort_keys=False))

    def start(self, *who: str, once: bool = False) -> None:
        """Start the coordinator or agents; what they print goes to `out.txt` in their folder."""
        for name in who:
            if name == OPERATOR:
                # What is waited for is what this program says, not the one before.
                self._status.unlink(missing_ok=True)
            arguments = ["coordinator"] if name == OPERATOR else ["agent", "--as-of", AS_OF]
            ending = ["--once", "--timeout", str(int(PATIENCE))] if once else []
            self.running[name] = _FORK.Process(
                target=serve,
                args=(self.organisations.folder / name, [*arguments, *ending, "--json-logs"]),
            )
            self.running[name].start()

    def ended(self, name: str) -> int | None:
        """Wait until a program has ended; return its exit code."""
        program = self.running[name]
        program.join(PATIENCE)
        assert program.exitcode is not None, f"{name} goes on: {self.printed(name)[-3000:]}"
        del self.running[name]
        return program.exitcode

    def signal(self, name: str, number: signal.Signals) -> None:
        pid = self.running[name].pid
        assert pid is not None
        os.kill(pid, number)

    @contextmanager
    def full_disk(self, name: str, size: int = 64) -> Iterator[None]:
        """Let no file of a program grow beyond ``size`` bytes: the kernel refuses its writes."""
        pid = self.running[name].pid
        assert pid is not None
        soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, hard))
        try:
            yield
        finally:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))

    def stop(self, *who: str) -> list[int | None]:
        """End programs in an orderly way; return their exit codes."""
        for name in who:
            self.signal(name, signal.SIGTERM)
        return [self.ended(name) for name in who]

    def printed(self, name: str) -> str:
        return (self.organisations.folder / name / "out.txt").read_text()

    def command(self, who: str, *arguments: str) -> str:
        """Run a command on the folder of ``who``; return what it printed."""
        config = str(self.organisations.folder / who / "federation.yml")
        done = CliRunner().invoke(app, [*arguments, "--config", config], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    def status(self) -> dict[str, Any]:
        """Return what the coordinator wrote of itself last."""
        if not self._status.exists():
            return {}
        found: dict[str, Any] = json.loads(self._status.read_text())
        return found

    def until(self, arrived: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        """Wait until the coordinator's status is such; fail with what the programs printed."""
        deadline = time.monotonic() + PATIENCE
        while not (status := self.status()) or not arrived(status):
            assert time.monotonic() < deadline, json.dumps(status) + self.printed(OPERATOR)[-3000:]
            for name, process in self.running.items():
                assert process.exitcode is None, f"{name} has ended: {self.printed(name)[-3000:]}"
            time.sleep(0.01)
        return status

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.running.values():
            process.kill()
            process.join()


@contextmanager
def programs(organisations: Organisations) -> Iterator[Programs]:
    """All four programs, started; the desks within this process leave the warehouses to them."""
    for site in list(organisations.desks):
        organisations.stop(site)
    with ExitStack() as stack:
        found = stack.enter_context(Programs(organisations))
        found.start(OPERATOR, *SITES)
        yield found


def free_ports(count: int) -> list[int]:
    """Return ports of this machine that nobody listens on."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]

"""A federation of real processes over mutual TLS on loopback, any of which may be killed.

Processes are forked from this one, which has loaded everything: a site is up again in milliseconds,
as far as Python is concerned. What they share is on the disk or on the wire.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from fed_audience.federation import ArrowSource, Manifest, RunJournal, SiteProgram, train
from fed_audience.federation import events as e
from fed_audience.federation.lasting.site_checkpoint import SiteCheckpoint
from fed_audience.federation.transport import Envelope
from fed_audience.federation.transports.grpc import GrpcTransport
from fed_audience.files import write_whole
from fed_audience.privacy.identity import SiteIdentity
from fed_audience.privacy.ledger import FileLedger
from fed_audience.privacy.roster import Roster, enrol
from fed_audience.privacy.site import SecureSite
from tests.federation.example import KEY
from tests.federation.grpc.network import LIMITS, Federation

COORDINATOR: Final = "the coordinator"
_ENTRANCE: Final = 60.0
"""Seconds for all sites to connect before a run begins."""

_FORK: Final = multiprocessing.get_context("fork")


@dataclass(frozen=True)
class Members:
    """Sites with rows, identities and certificates, made once for many runs."""

    manifest: Manifest
    tables: dict[str, pa.Table]
    network: Federation
    roster: Roster

    @classmethod
    def of(cls, manifest: Manifest, tables: dict[str, pa.Table], folder: Path) -> Members:
        """Make identities and certificates in ``folder``."""
        network = Federation(folder)
        for site in manifest.sites:
            network.enrol(site)
        network.coordinator_files()
        return cls(manifest, tables, network, enrol(network.identities.values()))

    @property
    def identities(self) -> dict[str, SiteIdentity]:
        """Site -> its identity."""
        return self.network.identities


@dataclass
class Processes:
    """One run of ``members``: a coordinator and a process for each site, with what they keep.

    ``timeout``: seconds that the coordinator waits for a site, ``retries`` times more.
    """

    members: Members
    folder: Path
    timeout: float
    retries: int
    running: dict[str, BaseProcess] = field(default_factory=dict)
    started: int = 0

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._address = f"127.0.0.1:{free.getsockname()[1]}"

    def start(self, name: str) -> None:
        """Start the coordinator or a site, in a process of its own."""
        target = self._coordinate if name == COORDINATOR else self._serve
        self.started += 1
        process = _FORK.Process(target=self._alone, args=(target, name), name=name)
        process.start()
        self.running[name] = process

    def kill(self, name: str) -> None:
        """Kill a process where it stands; nothing of it runs any more."""
        self.signal(name, signal.SIGKILL)
        self.running.pop(name).join()

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a process, if it still runs."""
        pid = self.running[name].pid
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def end(self) -> None:
        """End whatever still runs."""
        for name in list(self.running):
            self.signal(name, signal.SIGCONT)
            self.kill(name)

    @property
    def outcome(self) -> dict[str, Any] | None:
        """What the run ended with; None while it runs."""
        path = self.folder / "outcome.json"
        return json.loads(path.read_text()) if path.exists() else None

    @property
    def trees(self) -> int:
        """Trees that the coordinator has told of."""
        path = self.folder / "trees"
        return len(path.read_bytes()) if path.exists() else 0

    def messages(self) -> list[Envelope]:
        """Every message that a coordinator saw, but one that it was killed over."""
        found = []
        for path in sorted(self.folder.glob("messages-*")):
            content, place = path.read_bytes(), 0
            while len(head := content[place : place + 12].split()) == 2:
                first, second = place + 12, place + 12 + int(head[0])
                body = content[second : second + int(head[1])]
                if len(body) < int(head[1]):
                    break
                site = content[first + 1 : second].decode()
                sent = content[first : first + 1] == b">"
                found.append(Envelope(site, "to_site" if sent else "from_site", body))
                place = second + len(body)
        return found

    def words(self, name: str) -> str:
        """Return the last of what a process said."""
        return self._words(name).read_text()[-2_000:]

    def _words(self, name: str) -> Path:
        return self.folder / f"{name.replace(' ', '-')}.txt"

    def _alone(self, target: Callable[[str], None], name: str) -> None:
        """Run in a process of its own, whose words go to a file."""
        words = os.open(self._words(name), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(words, 1)
        os.dup2(words, 2)
        tempfile.tempdir = str(self.folder)
        threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
        target(name)

    def _serve(self, name: str) -> None:
        folder = self.folder / name
        ledger = FileLedger(folder / "ledger")
        secure = SecureSite(self.members.identities[name], self.members.roster, ledger)
        program = SiteProgram(
            name,
            ArrowSource(self.members.tables[name]),
            KEY,
            secure=secure,
            checkpoint=SiteCheckpoint(folder / "checkpoint"),
        )
        self.members.network.link(self._address, name, program.handle).run()

    def _coordinate(self, _name: str) -> None:
        manifest, network = self.members.manifest, self.members.network
        journal = RunJournal(self.folder / "journal")
        seen = (self.folder / f"messages-{self.started:04d}").open("wb", buffering=0)
        trees = (self.folder / "trees").open("wb", buffering=0)

        def note(envelope: Envelope) -> None:
            site = (">" if envelope.direction == "to_site" else "<") + envelope.site
            head = f"{len(site):3} {len(envelope.body):7} ".encode()
            seen.write(head + site.encode() + envelope.body)

        def told(event: e.TrainingEvent) -> None:
            if isinstance(event, e.TreeGrown):
                trees.write(b".")

        with GrpcTransport(
            self._address,
            network.files_of("coordinator"),
            network.members,
            limits=LIMITS,
            on_message=note,
        ) as transport:
            # Who is slow to start has not left: the first time all are waited for.
            begun = journal.manifest is not None
            absent = transport.wait_for(manifest.sites, self.timeout if begun else _ENTRANCE)
            if absent and not begun:
                raise SystemExit(f"never came: {absent}")
            result = train(
                transport,
                manifest,
                journal=journal,
                timeout=self.timeout,
                retries=self.retries,
                on_event=told,
            )
        outcome = {
            "sha256": result.sha256,
            "text": result.model_text,
            "stopped": result.stopped,
            "missing": result.missing,
            "cohort": result.cohort,
            "warnings": result.warnings,
        }
        write_whole(self.folder / "outcome.json", json.dumps(outcome).encode(), "the outcome")


def _end_with(parent: int) -> None:
    """End this process when the one that forked it is gone."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)

"""A federation on this machine: certificates, a coordinator here, sites in their own processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from fed_audience.federation.development_authority import DevelopmentAuthority
from fed_audience.federation.transports.grpc import GrpcTransport, Limits, Member, TlsFiles
from fed_audience.privacy.identity import SiteIdentity
from fed_audience.privacy.roster import Roster, enrol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT: Final = Path(__file__).resolve().parents[2]
PATIENCE: Final = 300.0
"""Seconds for all sites to start and connect."""

LIMITS: Final = Limits(hello_seconds=60.0)
"""Many processes that start on few cores at once are slow to say hello."""


@dataclass(frozen=True, slots=True)
class SiteHome:
    """What a site's process finds in its folder."""

    name: str
    tls: TlsFiles
    identity: SiteIdentity
    roster: Roster

    @classmethod
    def read(cls, folder: Path) -> SiteHome:
        """Read what ``federation`` wrote."""
        files = TlsFiles(*(folder / name for name in _FILES))
        identity = SiteIdentity.from_pem(folder.name, (folder / "identity.pem").read_text())
        roster = Roster.from_json((folder / "roster.json").read_text())
        return cls(folder.name, files, identity, roster)


_FILES: Final = ("certificate.pem", "certificate.key", "authority.pem")


@contextmanager
def federation(sites: Sequence[str]) -> Iterator[tuple[Path, GrpcTransport]]:
    """Make the files of ``sites`` and open a coordinator for them; yields folder and transport."""
    with tempfile.TemporaryDirectory(prefix="fed-audience-bench-") as name:
        folder = Path(name)
        authority = DevelopmentAuthority.create()
        identities = [SiteIdentity.generate(site) for site in sites]
        roster = enrol(identities)
        for identity in identities:
            home = folder / identity.name
            authority.issue_site(identity.name, home)
            (home / "identity.pem").write_text(identity.to_pem())
            (home / "roster.json").write_text(roster.to_json())
        own = authority.issue_coordinator(["localhost", "127.0.0.1"], folder / "coordinator")
        members = {site: Member(roster.key_of(site)) for site in sites}
        with GrpcTransport("127.0.0.1:0", own, members, limits=LIMITS) as transport:
            yield folder, transport


@contextmanager
def processes(module: str, orders: Sequence[dict[str, Any]]) -> Iterator[list[int]]:
    """Run ``python -m module`` once for each order, given as an argument; killed at the end.

    Yields the numbers of the processes. There are more of them than cores, so that none has several
    threads for a matrix product.
    """
    numbers = []
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    with ExitStack() as stack:
        for order in orders:
            command = [sys.executable, "-m", module, json.dumps(order)]
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, cwd=ROOT, env=environment)
            stack.callback(process.wait)
            stack.callback(process.kill)
            numbers.append(process.pid)
        yield numbers


def processor_seconds(processes: Sequence[int]) -> float:
    """Return what running processes have used of the processor so far, see proc(5)."""
    ticks = 0
    for number in processes:
        fields = Path(f"/proc/{number}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def all_connected(transport: GrpcTransport, sites: Sequence[str]) -> None:
    """Wait for the sites; ends the measurement when one does not come."""
    if missing := transport.wait_for(sites, PATIENCE):
        raise SystemExit(f"no connection from {', '.join(missing)}")

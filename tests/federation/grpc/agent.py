"""A site in a process of its own, which echoes: python -m tests.federation.grpc.agent ..."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fed_audience.federation.certificates import TlsFiles
from fed_audience.federation.transports.grpc import SiteLink
from fed_audience.privacy.identity import SiteIdentity
from tests.federation.grpc.network import LIMITS, Federation, echo


@contextmanager
def agent_process(
    federation: Federation, address: str, site: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Run an agent of ``site``; it is killed at the end."""
    folder = federation.folder / site
    (folder / "identity.pem").write_text(federation.identities[site].to_pem())
    command = [sys.executable, "-m", "tests.federation.grpc.agent", address, str(folder)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def main(address: str, folder: Path) -> None:
    files = TlsFiles(
        folder / "certificate.pem", folder / "certificate.key", folder / "authority.pem"
    )
    identity = SiteIdentity.from_pem(folder.name, (folder / "identity.pem").read_text())
    SiteLink(address, files, identity, echo, limits=LIMITS).run()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))

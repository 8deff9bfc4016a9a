"""A federation over real loopback sockets: certificates, a coordinator, links of sites."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fed_audience.federation.certificates import TlsFiles
from fed_audience.federation.development_authority import DevelopmentAuthority
from fed_audience.federation.transports.grpc import GrpcTransport, Limits, Member, SiteLink
from fed_audience.privacy.identity import SiteIdentity

LIMITS = Limits(handshake_seconds=10.0, hello_seconds=10.0, silence_seconds=12.0)


def echo(body: bytes) -> bytes:
    return b"echo " + body


@dataclass
class Federation:
    """Files of every end in ``folder``, made as needed."""

    folder: Path
    authority: DevelopmentAuthority = field(default_factory=DevelopmentAuthority.create)
    identities: dict[str, SiteIdentity] = field(default_factory=dict)
    members: dict[str, Member] = field(default_factory=dict)

    def coordinator_files(self) -> TlsFiles:
        return self.authority.issue_coordinator(
            ["localhost", "127.0.0.1"], self.folder / "coordinator"
        )

    def enrol(self, site: str) -> TlsFiles:
        """Give ``site`` an identity, a certificate and a place in the roster."""
        self.identities[site] = SiteIdentity.generate(site)
        self.members[site] = Member(self.identities[site].public_key)
        return self.authority.issue_site(site, self.folder / site)

    def files_of(self, site: str) -> TlsFiles:
        folder = self.folder / site
        return TlsFiles(
            folder / "certificate.pem", folder / "certificate.key", folder / "authority.pem"
        )

    @contextmanager
    def transport(self, **options: Any) -> Iterator[GrpcTransport]:
        options.setdefault("limits", LIMITS)
        listen = options.pop("listen", "127.0.0.1:0")
        with GrpcTransport(listen, self.coordinator_files(), self.members, **options) as transport:
            yield transport

    def link(
        self, address: str, site: str, handle: Callable[[bytes], bytes] = echo, **options: Any
    ) -> SiteLink:
        options.setdefault("limits", LIMITS)
        files = options.pop("tls", None) or self.files_of(site)
        return SiteLink(address, files, self.identities[site], handle, **options)


def until(happened: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait for what must happen, and fail the test if it does not."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def lines(caplog: Any, event: str) -> list[logging.LogRecord]:
    """Records of an event."""
    return [record for record in caplog.records if getattr(record, "event", "") == event]

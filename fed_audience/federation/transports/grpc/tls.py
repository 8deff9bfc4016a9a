"""TLS 1.3 at both ends, from files that may be renewed while the process runs."""

from __future__ import annotations

import logging
import socket
import ssl
import time
from typing import TYPE_CHECKING, Final

from fed_audience.errors import FederationError
from fed_audience.federation.certificates import check_files

if TYPE_CHECKING:
    from pathlib import Path

    from fed_audience.federation.certificates import TlsFiles

_LOG: Final = logging.getLogger(__name__)
_LOOK_SECONDS: Final = 1.0
_PROTOCOL: Final = ["h2"]

_FROM_COORDINATOR: Final = {
    9: "it is not yet valid; compare the clocks of both machines",
    10: "it has expired; its operator must renew it",
    62: "it is for another host name; use the name in it, or have one issued for this address",
    64: "it is for another address; use the name in it, or have one issued for this address",
}
"""OpenSSL's X509_V_ERR numbers -> what is wrong with the coordinator's certificate."""

_ALERTS: Final = {
    "UNKNOWN_CA": "it comes from an authority that the coordinator does not trust",
    "CERTIFICATE_EXPIRED": "it has expired, by the coordinator's clock",
    "BAD_CERTIFICATE": "it is not valid yet by the coordinator's clock, or damaged",
    "CERTIFICATE_REQUIRED": "none was sent",
    "UNSUPPORTED_CERTIFICATE": "it is not one for a client",
    "CERTIFICATE_UNKNOWN": "the coordinator cannot check it",
    "PROTOCOL_VERSION": "the coordinator speaks TLS 1.3 alone",
}
"""Alerts of RFC 8446, 6.2 -> what the coordinator holds against this end's certificate."""


class ServerContext:
    """The coordinator's TLS context, made anew when its files change.

    Files that are half renewed are not used: the earlier context stays until they fit together.
    """

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self._seen = self._stamp()
        self._looked = time.monotonic()
        self._context = self._made()

    def current(self) -> ssl.SSLContext:
        """Return the context for the next connection."""
        now = time.monotonic()
        if now - self._looked >= _LOOK_SECONDS:
            self._looked = now
            self._reload()
        return self._context

    def _reload(self) -> None:
        try:
            stamp = self._stamp()
            if stamp == self._seen:
                return
            self._seen = stamp
            self._context = self._made()
        except (FederationError, OSError, ssl.SSLError) as error:
            _LOG.warning("the renewed certificate is not used, the earlier one is: %s", error)
        else:
            _LOG.info("the certificate was renewed", extra={"event": "certificate_renewed"})

    def _made(self) -> ssl.SSLContext:
        check_files(self._files, "coordinator")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.verify_mode = ssl.CERT_REQUIRED
        # A resumed session would not look at the certificate again.
        context.num_tickets = 0
        context.set_alpn_protocols(_PROTOCOL)
        context.load_cert_chain(self._files.certificate, self._files.key)
        context.load_verify_locations(self._files.authority)
        return context

    def _stamp(self) -> tuple[tuple[int, int, int], ...]:
        files = self._files
        return tuple(_stamp(path) for path in (files.certificate, files.key, files.authority))


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except OSError:
        return (0, 0, 0)
    return found.st_mtime_ns, found.st_size, found.st_ino


def diagnose(address: str, files: TlsFiles, seconds: float) -> None:
    """Shake hands with the coordinator as a site does, to find out why gRPC could not.

    Returns when nothing is wrong. Raises FederationError that names what the site holds against
    the coordinator's certificate or the coordinator against the site's, OSError when it cannot be
    reached at all.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(_PROTOCOL)
    context.load_cert_chain(files.certificate, files.key)
    context.load_verify_locations(files.authority)
    host, port = split_address(address)
    with socket.create_connection((host, port), timeout=seconds) as plain:
        try:
            with context.wrap_socket(plain, server_hostname=host) as tls:
                # The coordinator's verdict on our certificate comes after the handshake.
                tls.recv(1)
        except ssl.SSLCertVerificationError as error:
            raise FederationError(
                "the coordinator's certificate is refused: "
                + _FROM_COORDINATOR.get(
                    error.verify_code, "it comes from an authority that this site does not trust"
                ),
                value=error.verify_message,
                looked=f"{address}, {files.authority}",
                fix="nothing was sent; ask the coordinator's operator if in doubt",
            ) from None
        except ssl.SSLError as error:
            raise FederationError(
                f"the coordinator refuses this site's certificate: {_said(error)}",
                value=error.reason,
                looked=f"{address}, {files.certificate}",
                fix="have a certificate issued by the federation's authority, and name its files",
            ) from None


def _said(error: ssl.SSLError) -> str:
    reason = error.reason or ""
    for alert, words in _ALERTS.items():
        if reason.endswith(alert):
            return words
    return "its handshake failed"


def split_address(address: str) -> tuple[str, int]:
    """Return host and port of "host:port" or "[v6]:port". Raises FederationError."""
    host, colon, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:  # noqa: PLR2004 - ports
        raise FederationError(
            "an address is not a host and a port",
            value=address,
            limit="host:port, a port below 65536",
            fix="write it as in coordinator.example:7443",
        )
    return host, int(port)

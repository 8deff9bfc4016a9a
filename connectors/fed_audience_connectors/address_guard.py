"""Keeps requests away from addresses that a configuration has no business to reach.

The address is checked on the connected socket, before a byte of the request is written, so a
name that resolves differently the second time gains nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection

from fed_audience.errors import DestinationError

_NAT64 = IPv6Network("64:ff9b::/96")
Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class AddressGuard:
    """Public addresses pass, over https; others only if allowed by name.

    Link-local (where clouds keep their credentials), multicast, reserved and unspecified
    addresses never pass.
    """

    allow_loopback: bool = False
    allow_private: bool = False

    def check(self, address: str, *, encrypted: bool) -> None:
        """Raise DestinationError unless ``address`` may be spoken to."""
        ip = _embedded(ip_address(address.partition("%")[0]))
        if ip.is_loopback:
            _require(self.allow_loopback, "this machine", "allow_loopback: true")
        elif ip.is_link_local or ip.is_multicast or ip.is_reserved or ip.is_unspecified:
            _require(False, "a link-local or reserved address", None)
        elif not ip.is_global:
            _require(self.allow_private, "a private network", "allow_private: true")
        elif not encrypted:
            raise DestinationError(
                "personal data would cross the internet in the clear",
                limit="https",
                fix="use an https:// address",
            )


class GuardedAdapter(HTTPAdapter):
    """A requests adapter whose connections pass ``guard`` before they carry anything.

    It never retries: the engine does, in one place.
    """

    def __init__(self, guard: AddressGuard) -> None:
        self._guard = guard
        super().__init__(max_retries=0)

    def init_poolmanager(
        self,
        connections: int,
        maxsize: int,
        block: bool = False,  # noqa: FBT001, FBT002 - the signature that requests calls
        **pool_kwargs: Any,
    ) -> None:
        """Build the pool from guarded connections."""
        guard = self._guard

        class GuardedHttp(HTTPConnection):
            def connect(self) -> None:
                super().connect()
                guard.check(self.sock.getpeername()[0], encrypted=False)

        class GuardedHttps(HTTPSConnection):
            def connect(self) -> None:
                super().connect()
                guard.check(self.sock.getpeername()[0], encrypted=True)

        class HttpPool(HTTPConnectionPool):
            ConnectionCls = GuardedHttp

        class HttpsPool(HTTPSConnectionPool):
            ConnectionCls = GuardedHttps

        manager = PoolManager(connections, maxsize=maxsize, block=block, **pool_kwargs)
        manager.pool_classes_by_scheme = {"http": HttpPool, "https": HttpsPool}
        self.poolmanager = manager


def _embedded(ip: Address) -> Address:
    """Return the IPv4 address that an IPv6 one stands for, or the address itself."""
    if isinstance(ip, IPv6Address):
        if ip.ipv4_mapped is not None:
            return ip.ipv4_mapped
        if ip in _NAT64:
            return IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip


def _require(allowed: bool, kind: str, option: str | None) -> None:  # noqa: FBT001 - one reading
    if allowed:
        return
    raise DestinationError(
        f"the destination's address leads to {kind}",
        limit="public addresses over https",
        fix=f"set '{option}' on it if that is intended" if option else "correct its url",
    )

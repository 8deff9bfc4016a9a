"""Counters of the transport for Prometheus, where its client is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence


class _Uncounted:
    """Stands where no client of Prometheus is installed."""

    def labels(self, *_values: str) -> _Uncounted:
        return self

    def inc(self, _amount: float = 1) -> None:
        """Count nothing."""

    def set(self, _value: float) -> None:
        """Show nothing."""


class Metrics:
    """Counters of this process, in Prometheus' default registry."""

    def __init__(self) -> None:
        self.bytes = _made("Counter", "bytes", "Bytes of rounds.", ("site", "direction"))
        self.rounds = _made("Counter", "rounds", "Requests sent to all of their sites.", ())
        self.replies = _made("Counter", "replies", "Replies to rounds.", ("site",))
        self.late = _made("Counter", "late_replies", "Replies nobody waits for.", ("site",))
        self.failures = _made("Counter", "failures", "Rounds a site failed in.", ("site",))
        self.connections = _made("Counter", "connections", "Streams begun.", ("site",))
        self.reconnections = _made("Counter", "reconnections", "Streams begun anew.", ("site",))
        self.refusals = _made("Counter", "refusals", "Peers turned away.", ("reason",))
        self.connected = _made("Gauge", "connected_sites", "Sites with a stream.", ())


def _made(kind: str, name: str, what: str, labels: Sequence[str]) -> Any:
    try:
        import prometheus_client  # noqa: PLC0415 - an extra
    except ImportError:
        return _Uncounted()
    return getattr(prometheus_client, kind)(f"fed_audience_transport_{name}", what, labels)


class SiteCounters:
    """Counters of one site, looked up once: every message adds to them."""

    def __init__(self, site: str) -> None:
        self.sent = METRICS.bytes.labels(site, "to_site")
        self.received = METRICS.bytes.labels(site, "from_site")
        self.replies = METRICS.replies.labels(site)


METRICS: Final = Metrics()
"""The counters of this process."""

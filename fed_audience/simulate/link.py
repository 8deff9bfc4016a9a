"""What a training would take between machines: rounds, bytes and a link, by arithmetic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from fed_audience.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fed_audience.federation.result import TrainingResult

Part = Literal["computing", "round trips", "transfer"]

_SLOWEST_MS: Final = 60_000.0
_BITS: Final = 8
_MEGA: Final = 1e6


@dataclass(frozen=True, slots=True)
class Link:
    """The coordinator's connection: round trip to a site in ms, megabits a second either way.

    Raises UsageError for a value that no link has.
    """

    rtt_ms: float
    mbps: float

    def __post_init__(self) -> None:
        if not 0 <= self.rtt_ms <= _SLOWEST_MS:
            raise UsageError(
                "--rtt-ms is out of range",
                value=self.rtt_ms,
                limit=f"0 to {_SLOWEST_MS:,.0f}",
                fix="`ping` the coordinator from a site: its mean is the round trip",
            )
        if not 0 < self.mbps < float("inf"):
            raise UsageError(
                "--mbps is out of range",
                value=self.mbps,
                limit="above 0",
                fix="give the megabits a second that the coordinator's connection carries",
            )


@dataclass(frozen=True, slots=True)
class LinkEstimate:
    """Seconds that a training takes over a link, and the part that takes most of them.

    ``computing``: that of the site with the most rows, on a machine like this one, and the
    coordinator's. ``round_trips``: one a round. ``transfer``: all that passes the coordinator's
    connection, requests before replies.
    """

    rtt_ms: float
    mbps: float
    rounds: int
    megabytes: float
    computing: float
    round_trips: float
    transfer: float
    total: float
    dominated_by: Part


def estimate(
    link: Link, result: TrainingResult, seconds: float, rows: Sequence[int]
) -> LinkEstimate:
    """Estimate the training of ``result`` over ``link``.

    ``seconds``: what it took in one process, where the sites take turns; ``rows``: of each site.
    Sites on machines of their own compute side by side, so the largest one's share counts.
    """
    passed = sum(result.bytes_up.values()) + sum(result.bytes_down.values())
    parts: dict[Part, float] = {
        "computing": seconds * max(rows) / max(sum(rows), 1),
        "round trips": result.rounds * link.rtt_ms / 1_000,
        "transfer": passed * _BITS / (link.mbps * _MEGA),
    }
    return LinkEstimate(
        rtt_ms=link.rtt_ms,
        mbps=link.mbps,
        rounds=result.rounds,
        megabytes=passed / _MEGA,
        computing=parts["computing"],
        round_trips=parts["round trips"],
        transfer=parts["transfer"],
        total=sum(parts.values()),
        dominated_by=max(parts, key=lambda part: parts[part]),
    )


ADVICE: Final[dict[Part, str]] = {
    "computing": "faster machines at the largest site would shorten it",
    "round trips": "fewer rounds would shorten it: fewer trees at a higher --learning-rate, or a "
    "smaller --depth",
    "transfer": "fewer bytes would shorten it: --max-bin 63 sends a quarter of them",
}
"""What shortens a training in which a part takes most of the time."""

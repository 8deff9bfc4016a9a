"""What the federation part is held to, each figure computed from the rows of a run."""

from __future__ import annotations

from typing import Final

from benchmarks.goals import Goal
from benchmarks.privacy.goals import Found, worst

SMALL: Final = 10
LARGE: Final = 50


def _ratio(found: Found) -> float | None:
    seconds = {row["who"]: row["seconds"] for row in found.get("three_agents", ())}
    if not {"fed-audience", "XGBoost federated"} <= seconds.keys():
        return None
    return float(seconds["fed-audience"] / seconds["XGBoost federated"])


def _overhead(found: Found) -> float | None:
    by_trip = {row["round_trip_ms"]: row["seconds"] for row in found.get("wide_link", ())}
    if not {0, 50} <= by_trip.keys():
        return None
    return float(by_trip[50] - by_trip[0])


def _slope(found: Found) -> float | None:
    median = {row["sites"]: row["median_ms"] for row in found.get("many_sites", ())}
    if not {SMALL, LARGE} <= median.keys():
        return None
    return float(median[LARGE] - median[SMALL]) / (LARGE - SMALL)


GOALS: Final[tuple[Goal[Found], ...]] = (
    Goal(
        "one round, 3 sites, 100 KB both ways, mutual TLS, loopback, median ms",
        5,
        None,
        worst("round_time", "median_ms", bytes=100_000, over="gRPC, mutual TLS"),
    ),
    Goal(
        "3 agents with mutual TLS and secure sums / XGBoost 3.2.0 federated in plain text",
        1.0,
        0.5,
        _ratio,
    ),
    Goal(
        "the same at 50 ms round trip: seconds beyond those without, 100 trees",
        35,
        32,
        _overhead,
        form=".1f",
    ),
    Goal(
        f"one round from {SMALL} to {LARGE} sites, 10 KB, ms a site",
        0.6,
        None,
        _slope,
    ),
)

"""What is measured of the network: each block one module, run alone in a fresh process."""

from __future__ import annotations

from typing import Final

from benchmarks.privacy.plan import Measurement

BLOCKS: Final = {
    "round_time": "one round of 3 sites, each a process, the same bytes both ways over mutual TLS "
    "on loopback: 500 rounds after 100; floor: the same bytes over bare TCP sockets",
    "three_agents": "300k x 30, 100 trees, 3 agents and the coordinator as processes, mutual TLS "
    "and secure sums, one thread each; XGBoost 3.2.0's federated plugin in plain text, in turn",
    "wide_link": "the same agents, and three behind a proxy that holds every byte so that an echo "
    "takes the round trip, in turn: whole trainings",
    "many_sites": "one round by number of sites, 10 sites a process, 10,000 bytes both ways",
}
"""Block -> what it measures, and how often."""


def measurements() -> tuple[Measurement, ...]:
    """Return the whole plan, in order."""
    return tuple(Measurement(block, block, part="federation") for block in BLOCKS)

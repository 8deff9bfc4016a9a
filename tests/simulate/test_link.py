from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from fed_audience.errors import UsageError
from fed_audience.simulate.link import ADVICE, Link, estimate
from fed_audience.simulate.run import simulate
from tests.simulate.conftest import MakeSettings

if TYPE_CHECKING:
    from fed_audience.simulate.link import Part

ROUNDS = 600


def result(*megabytes: float) -> Any:
    """A training of 600 rounds in which each site sent so much and was sent nothing."""
    sent = {f"s{number}": int(size * 1e6) for number, size in enumerate(megabytes)}
    return SimpleNamespace(rounds=ROUNDS, bytes_up=sent, bytes_down=dict.fromkeys(sent, 0))


def test_each_part_by_hand() -> None:
    found = estimate(Link(50, 80), result(10, 20, 30), 9.0, [200, 100, 100])
    assert found.computing == pytest.approx(4.5), "half of the rows are at one site"
    assert found.round_trips == pytest.approx(30.0)
    assert found.transfer == pytest.approx(6.0), "60 MB are 480 Mbit"
    assert found.total == pytest.approx(40.5)
    assert (found.rounds, found.megabytes) == (ROUNDS, 60.0)


@pytest.mark.parametrize(
    ("link", "seconds", "part"),
    [
        (Link(0, 1e4), 60.0, "computing"),
        (Link(200, 1e4), 60.0, "round trips"),
        (Link(1, 2), 60.0, "transfer"),
    ],
)
def test_what_dominates_is_named_with_what_would_help(
    link: Link, seconds: float, part: Part
) -> None:
    assert estimate(link, result(20, 20), seconds, [1, 1]).dominated_by == part
    assert ADVICE[part]


@pytest.mark.parametrize(
    ("rtt_ms", "mbps", "flag"),
    [(-1, 100, "--rtt-ms"), (60_001, 100, "--rtt-ms"), (1, 0, "--mbps"), (1, float("inf"), "--mb")],
)
def test_a_link_that_cannot_be_is_refused(rtt_ms: float, mbps: float, flag: str) -> None:
    with pytest.raises(UsageError, match=flag):
        Link(rtt_ms, mbps)


def test_a_simulation_tells_its_rounds_over_a_link(settings: MakeSettings) -> None:
    chosen = settings(site_column="brand", trees=3, depth=2, link=Link(100, 10))
    outcome = simulate(chosen)
    assert outcome.link is not None
    assert outcome.link.rounds == outcome.rounds
    assert outcome.link.round_trips == pytest.approx(outcome.rounds / 10)
    assert outcome.link.megabytes * 1e6 > sum(outcome.bytes_up_per_site)
    assert json.loads(outcome.to_json())["link"]["dominated_by"] == "round trips"

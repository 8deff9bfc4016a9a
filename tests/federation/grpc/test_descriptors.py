from __future__ import annotations

import resource

import pytest

from fed_audience.federation.transports.grpc.descriptors import make_room_for
from tests.federation.grpc.network import lines

NONE = resource.RLIM_INFINITY


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The process's limits, the last one counts; the real ones stay as they are."""
    held = [(1_024, 4_096)]
    monkeypatch.setattr(resource, "getrlimit", lambda _: held[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _, found: held.append(found))
    return held


@pytest.mark.parametrize(
    ("before", "sites", "after"),
    [
        ((1_024, 4_096), 500, (2_524, 4_096)),
        ((1_024, NONE), 10_000, (31_024, NONE)),
        ((8_000, 8_000), 500, (8_000, 8_000)),
        ((NONE, NONE), 500, (NONE, NONE)),
    ],
)
def test_the_limit_rises_as_far_as_the_sites_need(
    limits: list[tuple[int, int]],
    caplog: pytest.LogCaptureFixture,
    before: tuple[int, int],
    sites: int,
    after: tuple[int, int],
) -> None:
    limits[:] = [before]
    make_room_for(sites)
    assert limits[-1] == after
    assert not lines(caplog, "few_descriptors")


def test_a_limit_that_cannot_rise_far_enough_is_told(
    limits: list[tuple[int, int]], caplog: pytest.LogCaptureFixture
) -> None:
    make_room_for(2_000)
    assert limits[-1] == (4_096, 4_096)
    (said,) = lines(caplog, "few_descriptors")
    assert "may open 4,096 files, 2,000 sites need 7,024" in said.getMessage()

from __future__ import annotations

import pytest

from fed_audience.federation.transports.grpc.turned_away import LINES, TurnedAway


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_flood_is_counted_and_told_in_one_line_later(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    turned_away = TurnedAway(clock)
    for number in range(LINES + 1234):
        turned_away.note("certificate", f"10.0.0.{number % 9}:1", "expired")
    assert len(caplog.records) == LINES
    clock.now = 61
    turned_away.note("certificate", "10.0.0.1:1", "expired")
    assert caplog.records[-1].getMessage() == (
        "turned away 10.0.0.1:1: expired (1,234 more in the minutes before)"
    )


def test_one_reasons_flood_does_not_hide_another(caplog: pytest.LogCaptureFixture) -> None:
    turned_away = TurnedAway(Clock())
    for _ in range(LINES * 2):
        turned_away.note("no_tls", "10.0.0.1:1", "GET /")
    turned_away.note("second_agent", "north", "has an agent already")
    last = caplog.records[-1]
    assert last.getMessage() == "turned away north: has an agent already"
    assert (last.__dict__["event"], last.__dict__["reason"], last.__dict__["peer"]) == (
        "turned_away",
        "second_agent",
        "north",
    )


def test_every_one_is_counted() -> None:
    prometheus = pytest.importorskip("prometheus_client", reason="needs fed-audience[grpc]")

    def count() -> float:
        labels = {"reason": "crowd"}
        name = "fed_audience_transport_refusals_total"
        return prometheus.REGISTRY.get_sample_value(name, labels) or 0.0

    turned_away = TurnedAway(Clock())
    turned_away.note("crowd", "-", "-")
    before = count()
    for _ in range(50):
        turned_away.note("crowd", "-", "-")
    assert count() - before == 50

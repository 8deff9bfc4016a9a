"""Pace and size of calls."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from fed_audience.activation import Limits, Pace
from fed_audience.activation.batching import in_batches
from fed_audience.activation.limits import TokenBucket, pace_of
from fed_audience.errors import ConfigError


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_a_bucket_lets_a_burst_pass_and_then_keeps_the_rate() -> None:
    clock = Clock()
    bucket = TokenBucket(5, 1.0, clock=clock, sleep=clock.sleep)
    waits = [bucket.acquire() for _ in range(10)]
    assert waits[:5] == [0.0] * 5
    assert waits[5:] == pytest.approx([0.2] * 5)
    assert clock.now == pytest.approx(1.0)


def test_an_idle_bucket_saves_no_more_than_its_size() -> None:
    clock = Clock()
    bucket = TokenBucket(2, 1.0, clock=clock, sleep=clock.sleep)
    clock.now = 100.0
    assert [bucket.acquire() for _ in range(3)] == [0.0, 0.0, pytest.approx(0.5)]


def test_all_rates_hold_at_once() -> None:
    clock = Clock()
    pace = Pace(Limits(rates=((10, 1.0), (20, 60.0))), clock=clock, sleep=clock.sleep)
    for _ in range(21):
        pace.acquire()
    assert clock.now >= 3.0


def test_a_pause_holds_everybody_who_uses_the_account() -> None:
    clock = Clock()
    pace = Pace(Limits(), clock=clock, sleep=clock.sleep)
    pace.pause(30.0)
    pace.pause(5.0)
    pace.acquire()
    assert clock.now == 30.0


def test_threads_share_one_pace_per_account() -> None:
    limits = Limits(rates=((7, 1.0),))
    found: list[Pace] = []
    threads = [
        threading.Thread(target=lambda: found.append(pace_of("account-1", limits)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(pace) for pace in found}) == 1
    assert pace_of("account-2", limits) is not found[0]


@pytest.mark.parametrize("wrong", [{"max_rows": 0}, {"max_bytes": -1}, {"rates": ((1, 0.0),)}])
def test_limits_are_above_zero(wrong: Any) -> None:
    with pytest.raises(ConfigError):
        Limits(**wrong)


def test_batches_keep_to_count_and_bytes_and_lose_nobody(brand: Any) -> None:
    ids = brand.customers(25)
    planned = brand.plan(brand.members(ids)).upserts
    brand.settings |= {"batch_rows": 10, "batch_bytes": 4_096}
    destination = brand.destination()
    groups = list(in_batches(planned, destination))
    assert [one for group in groups for one in group] == list(planned)
    assert max(map(len, groups)) <= 10
    brand.settings |= {"batch_rows": 1_000}
    destination = brand.destination()
    report = brand.run(brand.plan(brand.members(ids)), destination)
    assert report.requests > 1
    assert max(map(len, brand.receiver.bodies)) <= 4_096

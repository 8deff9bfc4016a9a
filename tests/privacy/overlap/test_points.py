from __future__ import annotations

import multiprocessing
import os

import numpy as np
import pytest

from fed_audience.privacy.overlap import group, points
from fed_audience.privacy.overlap.points import Workers
from fed_audience.privacy.overlap.refusals import OverlapError

SALT = b"s" * 64


def test_processes_compute_what_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(points, "_WORTH_PROCESSES", 1)
    texts, scalar = [f"text {number}" for number in range(5_000)], group.new_scalar()
    told: list[int] = []
    alone = Workers(1)
    hidden = alone.hidden(texts, SALT, scalar)
    spoilt = hidden.copy()
    spoilt[4_999] = 0
    with Workers(2, told.append) as both:
        assert np.array_equal(both.hidden(texts, SALT, scalar), hidden)
        assert told == [2_048, 2_048, 904]
        assert np.array_equal(both.raised(hidden, scalar), alone.raised(hidden, scalar))
        with pytest.raises(OverlapError) as caught:
            both.raised(spoilt, scalar)
    assert caught.value.reason == "bad_point"
    assert multiprocessing.active_children() == []


def test_processes_are_as_many_as_there_are_cores_unless_said() -> None:
    assert Workers().processes == len(os.sched_getaffinity(0))


def test_no_points_are_no_points() -> None:
    assert Workers(1).hidden([], SALT, group.new_scalar()).shape == (0, 32)

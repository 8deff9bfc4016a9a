from __future__ import annotations

import threading
import time

import pytest

from fed_audience.gbdt.kernels.team import Team, team_of


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("parts", [0, 1, 2, 100])
def test_results_come_in_the_order_of_the_parts(threads: int, parts: int) -> None:
    assert team_of(threads).map(lambda part: part * part, range(parts)) == [
        part * part for part in range(parts)
    ]


def test_helpers_take_part_at_first_and_after_they_slept() -> None:
    team = Team(3)
    for rest in (0.0, 0.0, 0.2):
        time.sleep(rest)
        together = threading.Barrier(3, timeout=10)
        names = team.map(lambda _: (together.wait(), threading.current_thread().name)[1], range(3))  # noqa: B023
        assert len(set(names)) == 3


def test_a_team_of_one_starts_no_thread() -> None:
    before = threading.active_count()
    here = threading.current_thread()
    assert Team(1).map(lambda _: threading.current_thread(), range(4)) == [here] * 4
    assert threading.active_count() == before


def test_a_part_may_share_out_work_itself() -> None:
    team = Team(3)

    def part(number: int) -> list[int]:
        return team.map(lambda inner: number * 10 + inner, range(4))

    assert team.map(part, range(9)) == [[10 * n + i for i in range(4)] for n in range(9)]


def test_helpers_work_before_anybody_asks() -> None:
    team, helped = Team(2), threading.Event()
    work = team.start(lambda _: helped.set(), range(2))
    assert helped.wait(10)
    assert work.results() == [None, None]


def test_an_error_in_any_part_is_raised_and_the_team_goes_on() -> None:
    team, done = Team(2), []

    def part(number: int) -> None:
        if number == 1:
            raise ValueError("part 1")
        time.sleep(0.01)
        done.append(number)

    with pytest.raises(ValueError, match="part 1"):
        team.map(part, range(50))
    assert len(done) < 50
    assert team.map(str, range(3)) == ["0", "1", "2"]


def test_callers_from_several_threads_do_not_mix() -> None:
    team, found = Team(2), dict[int, list[int]]()

    def call(caller: int) -> None:
        for _ in range(200):
            found[caller] = team.map(lambda part: caller * 1_000 + part, range(5))
            assert found[caller] == [caller * 1_000 + part for part in range(5)]

    callers = [threading.Thread(target=call, args=(number,)) for number in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len(found) == 4


def test_nothing_of_the_work_is_kept() -> None:
    class Held:
        count = 0

        def __init__(self) -> None:
            Held.count += 1

        def __del__(self) -> None:
            Held.count -= 1

    team = Team(2)
    team.map(lambda _: time.sleep(0.001), [Held() for _ in range(4)])
    deadline = time.monotonic() + 10
    while Held.count and time.monotonic() < deadline:
        time.sleep(0.01)
    assert Held.count == 0

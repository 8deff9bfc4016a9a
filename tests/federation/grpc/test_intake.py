"""Room for replies: first come, first served, and never more than there is but for one."""

from __future__ import annotations

import asyncio
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fed_audience.federation.transports.grpc.intake import Intake


async def turns() -> None:
    """Let everything that is due run."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_who_finds_no_room_waits_and_enters_in_the_order_of_coming() -> None:
    async def story() -> list[str]:
        intake, entered = Intake(10), list[str]()

        async def come(name: str, size: int) -> None:
            await intake.enter(size)
            entered.append(name)

        tasks = [
            asyncio.ensure_future(come(name, size)) for name, size in (("a", 6), ("b", 5), ("c", 1))
        ]
        await turns()
        # There would be room for c, but b came before it.
        assert entered == ["a"]
        assert intake.held == 6
        intake.leave(6)
        await asyncio.gather(*tasks)
        assert intake.held == 6
        return entered

    assert asyncio.run(story()) == ["a", "b", "c"]


def test_a_reply_longer_than_the_room_enters_alone() -> None:
    async def story() -> None:
        intake = Intake(10)
        await intake.enter(1)
        long = asyncio.ensure_future(intake.enter(25))
        await turns()
        assert not long.done()
        intake.leave(1)
        await long
        assert intake.held == 25

    asyncio.run(story())


def test_what_is_here_already_counts_and_waits_for_nobody() -> None:
    async def story() -> None:
        intake = Intake(10)
        intake.take(12)
        waiting = asyncio.ensure_future(intake.enter(3))
        await turns()
        assert not waiting.done()
        intake.leave(12)
        await waiting
        assert intake.held == 3

    asyncio.run(story())


@pytest.mark.parametrize("late", [False, True], ids=["while it waits", "as it is let in"])
def test_who_hangs_up_leaves_its_place_to_those_behind(late: bool) -> None:  # noqa: FBT001 - a case
    async def story() -> None:
        intake = Intake(10)
        await intake.enter(10)
        first = asyncio.ensure_future(intake.enter(9))
        second = asyncio.ensure_future(intake.enter(4))
        await turns()
        if late:
            intake.leave(10)
            intake._admit()  # has its result, and has not run yet
        first.cancel()
        await turns()
        if not late:
            intake.leave(10)
        await second
        assert first.cancelled()
        assert intake.held == 4

    asyncio.run(story())


def test_room_is_given_back_from_other_threads() -> None:
    async def story() -> None:
        intake = Intake(10)
        await intake.enter(10)
        threading.Timer(0.05, intake.leave, [10]).start()
        await asyncio.wait_for(intake.enter(7), 60)
        assert intake.held == 7

    asyncio.run(story())


@given(st.lists(st.integers(0, 40), max_size=12))
def test_everybody_enters_and_no_more_is_held_than_there_is_room_for(sizes: list[int]) -> None:
    async def story() -> None:
        intake, most = Intake(20), [0]

        async def visit(size: int) -> None:
            await intake.enter(size)
            most[0] = max(most[0], intake.held)
            await asyncio.sleep(0)
            intake.leave(size)

        await asyncio.wait_for(asyncio.gather(*map(visit, sizes)), 60)
        assert intake.held == 0
        assert most[0] <= max([20, *sizes])

    asyncio.run(story())

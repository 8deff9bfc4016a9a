"""Threads that share out one piece of work after another and stay awake in between.

A training is a thousand pieces of work of a few milliseconds. To wake a sleeping thread costs a
good part of one, so helpers wait in a loop for the next piece, and sleep when none comes for some
milliseconds. The calling thread works too: with no helper at hand it does everything itself.
"""

from __future__ import annotations

import threading
import time
from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np
from numba import njit

from fed_audience.gbdt.instructions import pause, read_shared

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    Integers = NDArray[np.int64]

_HELPER_PAUSES: Final = 1 << 18  # 3 ms at 12 ns a pause: more than lies between two levels
_CALLER_PAUSES: Final = 1 << 16
_NAP_SECONDS: Final = 2e-4

Part = TypeVar("Part")
Result = TypeVar("Result")


@njit(nogil=True, cache=True)
def _rung(rings: Integers, seen: int, pauses: int) -> bool:
    """Wait until ``rings[0]`` is no longer ``seen``; False when ``pauses`` have passed."""
    for _ in range(pauses):
        if read_shared(rings, np.uint64(0)) != seen:
            return True
        pause()
    return False


@njit(nogil=True, cache=True)
def _done_up_to(done: Integers, start: int, pauses: int) -> int:
    """Wait until ``done[start:]`` are all set; return the first that is not after ``pauses``."""
    position = np.uint64(start)
    for _ in range(pauses):
        while position < np.uint64(done.size) and read_shared(done, position) != 0:
            position += np.uint64(1)
        if position == np.uint64(done.size):
            break
        pause()
    return int(position)


class _Work:
    """One piece of work: its parts are taken from one queue, by whoever is free."""

    def __init__(self, job: Callable[[Any], Any], parts: list[Any]) -> None:
        self._job = job
        self._queue = enumerate(parts)  # next() of it is one step for all threads
        self._done = np.zeros(len(parts), dtype=np.int64)
        self._results: list[Any] = [None] * len(parts)
        self._errors: list[BaseException] = []

    def take_parts(self) -> None:
        """Do parts until none is left to take; after an error the rest are passed over."""
        for index, part in self._queue:
            try:
                self._results[index] = None if self._errors else self._job(part)
            except BaseException as error:  # noqa: BLE001 - raised in the calling thread
                self._errors.append(error)
            self._done[index] = 1

    def results(self) -> list[Any]:
        """Wait for the parts that others have taken; raise what went wrong in any."""
        reached = 0
        while (reached := _done_up_to(self._done, reached, _CALLER_PAUSES)) < len(self._done):
            time.sleep(_NAP_SECONDS)
        if self._errors:
            raise self._errors[0]
        return self._results


class Team:
    """``threads`` threads: the one that calls, and helpers. Use ``team_of``: one team a process.

    One piece of work is shared out at a time. Whoever comes while the team is busy, be it from
    within a part, does the work alone: results never depend on the number of threads.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._busy = threading.Lock()
        self._bell = threading.Lock()
        self._rings = np.zeros(1, dtype=np.int64)
        self._asleep: list[threading.Lock] = []
        self._work: _Work | None = None
        self._helpers: list[threading.Thread] = []

    def map(self, job: Callable[[Part], Result], parts: Iterable[Part]) -> list[Result]:
        """Return ``job`` of each of ``parts``, in their order; raises what a part raises."""
        todo = list(parts)
        few = self.threads == 1 or len(todo) == 1
        if few or not self._busy.acquire(blocking=False):
            return [job(part) for part in todo]
        try:
            self._work = work = _Work(job, todo)
            self._ring()
            work.take_parts()
            return work.results()
        finally:
            self._work = None
            self._busy.release()

    def _ring(self) -> None:
        """Tell the helpers of work, and wake those asleep."""
        while len(self._helpers) < self.threads - 1:
            name = f"helper-{len(self._helpers) + 1}"
            self._helpers.append(threading.Thread(target=self._help, name=name, daemon=True))
            self._helpers[-1].start()
        with self._bell:
            self._rings[0] += 1
            asleep, self._asleep = self._asleep, []
        for helper in asleep:
            helper.release()

    def _help(self) -> None:
        while True:
            seen = int(self._rings[0])
            if work := self._work:
                work.take_parts()
            del work
            if not _rung(self._rings, seen, _HELPER_PAUSES):
                self._sleep(seen)

    def _sleep(self, seen: int) -> None:
        """Sleep until the ring after ``seen``."""
        alarm = threading.Lock()
        alarm.acquire()
        with self._bell:
            if self._rings[0] != seen:
                return
            self._asleep.append(alarm)
        alarm.acquire()


@cache
def team_of(threads: int) -> Team:
    """Return this process's team of ``threads`` threads; helpers start with the first work."""
    return Team(threads)


ALONE: Final = team_of(1)
"""No helper: everything is done by the calling thread."""

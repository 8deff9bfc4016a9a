"""Threads that share out one piece of work after another and stay awake in between.

A training is a thousand pieces of work of a few milliseconds. To wake a sleeping thread costs a
good part of one, so helpers wait in a loop for the next piece, and sleep when none comes for some
milliseconds. The calling thread works too: with no helper at hand it does everything itself.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections import deque
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeVar

import numpy as np
from numba import njit

from fed_audience.gbdt.kernels.instructions import pause, read_shared

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    Integers = NDArray[np.int64]

_AWAKE_SECONDS: Final = 3e-3
"""How long a helper waits before it sleeps: more than lies between two levels of a tree."""

_WATCH_SECONDS: Final = 1e-3
"""How long the caller watches for the last parts before it naps."""

_NAP_SECONDS: Final = 2e-4
_MOST_OPEN: Final = 16  # of more, helpers see the latest
_TRIALS: Final = 3
_TRIED_PAUSES: Final = 4096

_HANDOVER_SECONDS: Final = 2e-5
"""How long the caller leaves the interpreter to helpers that begin or end. Who has to ask for it
falls asleep and loses ten times as much."""

Part = TypeVar("Part")
Result = TypeVar("Result")


@njit(nogil=True, cache=True)
def _rest(rings: Integers, pauses: int) -> None:
    """Let ``pauses`` pass, with the interpreter free for others."""
    for _ in range(pauses):
        read_shared(rings, np.uint64(0))
        pause()


@njit(nogil=True, cache=True)
def _ring(rings: Integers, pauses: int) -> None:
    """Ring once, and rest."""
    rings[0] += 1
    _rest(rings, pauses)


@njit(nogil=True, cache=True)
def _rung(rings: Integers, seen: int, pauses: int) -> bool:
    """Wait until ``rings[0]`` is no longer ``seen``; False when ``pauses`` have passed."""
    for _ in range(pauses):
        if read_shared(rings, np.uint64(0)) != seen:
            return True
        pause()
    return False


@njit(nogil=True, cache=True)
def _done_up_to(done: Integers, start: int, pauses: int, after: int) -> int:
    """Wait until ``done[start:]`` are all set; return the first that is not after ``pauses``.

    Who had to wait rests for ``after`` pauses more.
    """
    position = np.uint64(start)
    waited = 0
    while waited <= pauses:
        while position < np.uint64(done.size) and read_shared(done, position) != 0:
            position += np.uint64(1)
        if position == np.uint64(done.size):
            break
        pause()
        waited += 1
    if waited > 0:
        _rest(done, after)
    return int(position)


class _Pauses(NamedTuple):
    """How many pauses of this processor are as long as we wait for what."""

    awake: int
    watch: int
    handover: int


@cache
def _pauses() -> _Pauses:
    nothing = np.zeros(1, dtype=np.int64)
    _rest(nothing, 1)
    spans = list[float]()
    for _ in range(_TRIALS):
        began = time.perf_counter()
        _rest(nothing, _TRIED_PAUSES)
        spans.append(time.perf_counter() - began)
    in_a_second = _TRIED_PAUSES / max(min(spans), 1e-6)
    waits = (_AWAKE_SECONDS, _WATCH_SECONDS, _HANDOVER_SECONDS)
    return _Pauses(*(int(wait * in_a_second) for wait in waits))


class Work(Generic[Result]):
    """One piece of work: its parts are taken from one queue, by whoever is free."""

    def __init__(self, job: Callable[[Any], Result], parts: list[Any]) -> None:
        self._job = job
        self._queue = enumerate(parts)  # next() of it is one step for all threads
        self._done = np.zeros(len(parts), dtype=np.int64)
        self._results: list[Any] = [None] * len(parts)
        self._errors: list[BaseException] = []

    def __len__(self) -> int:
        """Return the number of parts."""
        return len(self._done)

    def take_parts(self) -> None:
        """Do parts until none is left to take; after an error the rest are passed over."""
        for index, part in self._queue:
            try:
                self._results[index] = None if self._errors else self._job(part)
            except BaseException as error:  # noqa: BLE001 - raised in the calling thread
                self._errors.append(error)
            self._done[index] = 1

    def results(self) -> list[Result]:
        """Do what is left, wait for what others have taken, and raise what went wrong in any.

        Results come in the order of the parts.
        """
        self.take_parts()
        reached = 0
        while not self._done.all():
            reached = _done_up_to(self._done, reached, _pauses().watch, _pauses().handover)
            if reached < len(self._done):
                time.sleep(_NAP_SECONDS)
        if self._errors:
            raise self._errors[0]
        return self._results


class Team:
    """``threads`` threads: those that call, and helpers. Use ``team_of``: one team a process.

    Several pieces of work may be open at a time, also from within a part; helpers take the oldest
    first. Results never depend on the number of threads.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._bell = threading.Lock()
        self._rings = np.zeros(1, dtype=np.int64)
        self._asleep: list[threading.Lock] = []
        self._open: deque[weakref.ref[Work[Any]]] = deque(maxlen=_MOST_OPEN)
        self._helpers: list[threading.Thread] = []

    def map(self, job: Callable[[Part], Result], parts: Iterable[Part]) -> list[Result]:
        """Return ``job`` of each of ``parts``, in their order; raises what a part raises."""
        return self.start(job, parts).results()

    def start(self, job: Callable[[Part], Result], parts: Iterable[Part]) -> Work[Result]:
        """Let helpers begin; who asks for the ``results`` does the rest."""
        work = Work(job, list(parts))
        if self.threads > 1 and len(work) > 1:
            self._open.append(weakref.ref(work))
            self._call()
        return work

    def _call(self) -> None:
        """Tell the helpers, and wake those asleep."""
        while len(self._helpers) < self.threads - 1:
            name = f"helper-{len(self._helpers) + 1}"
            self._helpers.append(threading.Thread(target=self._help, name=name, daemon=True))
            self._helpers[-1].start()
        with self._bell:
            asleep, self._asleep = self._asleep, []
            _ring(self._rings, 0 if asleep else _pauses().handover)
        for helper in asleep:
            helper.release()

    def _help(self) -> None:
        while True:
            seen = int(self._rings[0])
            self._take_parts()
            if not _rung(self._rings, seen, _pauses().awake):
                self._sleep(seen)

    def _take_parts(self) -> None:
        for known in tuple(self._open):
            work = known()
            if work is not None:
                work.take_parts()

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

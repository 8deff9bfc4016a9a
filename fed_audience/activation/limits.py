"""How much a destination takes in one call, and one shared pace for all who use an account."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fed_audience.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Limits:
    """Largest call, and rates as (calls, seconds) that all hold at once."""

    max_rows: int = 500
    max_bytes: int = 1_000_000
    rates: tuple[tuple[int, float], ...] = ()

    def __post_init__(self) -> None:
        rates = [number for rate in self.rates for number in rate]
        for value in (self.max_rows, self.max_bytes, *rates):
            if value <= 0:
                raise ConfigError(
                    "limits of a destination are above zero", value=value, fix="correct the limit"
                )


class TokenBucket:
    """Lets ``calls`` calls pass in any ``seconds`` on average, and at most ``calls`` at once.

    Safe among threads. ``clock`` counts seconds and never goes back; ``sleep`` waits.
    """

    def __init__(
        self,
        calls: int,
        seconds: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rate = calls / seconds
        self._capacity = float(calls)
        self._tokens = float(calls)
        self._clock = clock
        self._sleep = sleep
        self._filled_at = clock()
        self._lock = threading.Lock()

    def acquire(self) -> float:
        """Take a token, waiting for it if need be; return the seconds waited.

        The token is taken before the wait, so callers queue in order instead of racing.
        """
        with self._lock:
            now = self._clock()
            gained = (now - self._filled_at) * self._rate
            self._tokens = min(self._capacity, self._tokens + gained) - 1.0
            self._filled_at = now
            wait = max(0.0, -self._tokens / self._rate)
        if wait:
            self._sleep(wait)
        return wait


class Pace:
    """All rates of one account, and the wait that the destination last asked for."""

    def __init__(
        self,
        limits: Limits,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._buckets = [
            TokenBucket(calls, seconds, clock=clock, sleep=sleep) for calls, seconds in limits.rates
        ]
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._paused_until = clock()

    def acquire(self) -> None:
        """Return when a call may be made."""
        with self._lock:
            wait = self._paused_until - self._clock()
        if wait > 0:
            self._sleep(wait)
        for bucket in self._buckets:
            bucket.acquire()

    def pause(self, seconds: float) -> None:
        """Hold every user of the account for ``seconds`` from this moment."""
        with self._lock:
            self._paused_until = max(self._paused_until, self._clock() + seconds)


_paces: dict[tuple[str, Limits], Pace] = {}
_paces_lock = threading.Lock()


def pace_of(account: str, limits: Limits) -> Pace:
    """Return the one pace of ``account`` that all threads and syncs of this process share."""
    with _paces_lock:
        return _paces.setdefault((account, limits), Pace(limits))

"""What is said of peers that come and go, or are turned away: all counted, few of them logged."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fed_audience.federation.transports.grpc.metrics import METRICS

if TYPE_CHECKING:
    from collections.abc import Callable

_LOG: Final = logging.getLogger(__name__)
LINES: Final = 10
"""Lines a minute for each reason, or each site."""

_MINUTE: Final = 60.0


@dataclass(slots=True)
class _Budget:
    since: float
    written: int = 0
    unwritten: int = 0


class Ration:
    """Ten lines a minute for each key of a bounded set.

    Whoever can reach an open port could otherwise fill a disk with lines about himself.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._budgets: dict[str, _Budget] = {}
        self._lock = threading.Lock()

    def take(self, key: str) -> str | None:
        """Take a line; None when there is none left. What it must add of those left out, or ""."""
        with self._lock:
            now = self._clock()
            budget = self._budgets.setdefault(key, _Budget(now))
            missed = 0
            if now - budget.since >= _MINUTE:
                missed = budget.unwritten
                self._budgets[key] = budget = _Budget(now)
            if budget.written >= LINES:
                budget.unwritten += 1
                return None
            budget.written += 1
        return f" ({missed:,} more in the minutes before)" if missed else ""


class TurnedAway:
    """Counts peers that are turned away, and logs them within a ration for each reason."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._ration = Ration(clock)

    def note(self, reason: str, who: str, text: str, fault: Exception | None = None) -> None:
        """Count a refusal; ``reason`` is a word of a closed list.

        ``fault``: an error of ours that the peer brought about.
        """
        METRICS.refusals.labels(reason).inc()
        also = self._ration.take(reason)
        if also is None:
            return
        _LOG.warning(
            "turned away %s: %s%s",
            who,
            text,
            also,
            exc_info=fault,
            extra={"event": "turned_away", "reason": reason, "peer": who},
        )

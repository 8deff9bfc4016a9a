"""What is said of peers that are turned away: each counted, few of them logged."""

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
"""Lines a minute for each reason."""

_MINUTE: Final = 60.0


@dataclass(slots=True)
class _Budget:
    since: float
    written: int = 0
    unwritten: int = 0


class TurnedAway:
    """Logs the first ten peers a minute that are turned away for a reason, and counts the rest.

    Whoever can reach an open port could otherwise fill a disk with lines about himself.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._budgets: dict[str, _Budget] = {}
        self._lock = threading.Lock()

    def note(self, reason: str, who: str, text: str, fault: Exception | None = None) -> None:
        """Count a refusal; log it within the budget of ``reason``, a word of a closed list.

        ``fault``: an error of ours that the peer brought about.
        """
        METRICS.refusals.labels(reason).inc()
        with self._lock:
            now = self._clock()
            budget = self._budgets.setdefault(reason, _Budget(now))
            missed = 0
            if now - budget.since >= _MINUTE:
                missed = budget.unwritten
                self._budgets[reason] = budget = _Budget(now)
            if budget.written >= LINES:
                budget.unwritten += 1
                return
            budget.written += 1
        also = f" ({missed:,} more in the minutes before)" if missed else ""
        _LOG.warning(
            "turned away %s: %s%s",
            who,
            text,
            also,
            exc_info=fault,
            extra={"event": "turned_away", "reason": reason, "peer": who},
        )

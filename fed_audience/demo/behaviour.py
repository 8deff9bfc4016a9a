"""When and how counted behaviour happens: instants inside a block, late arrival."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

import numpy as np

from fed_audience.demo.columns import DAY, HOUR, MINUTE, SECOND, START_US
from fed_audience.demo.draws import happens
from fed_audience.demo.settings import BLOCK_DAYS, BLOCKS, START

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SATURDAY: Final = 5


def spread(
    counts: NDArray[np.int64], *, first_block: int = 0
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the customer row and the block of every single occurrence in ``counts``."""
    cells = np.repeat(np.arange(counts.size), counts.ravel())
    return cells // counts.shape[1], cells % counts.shape[1] + first_block


def moments(
    blocks: NDArray[np.int64],
    evening: NDArray[np.float64],
    not_before: NDArray[np.int64],
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Draw an instant in each block; evening people come after 18:00 and at weekends more often.

    ``not_before`` is when the customer registered; an earlier instant moves to the hours after.
    """
    weekend, week = _days_of_blocks()
    size = blocks.size
    lure = 0.13 * np.tanh(evening)
    at_weekend = happens(rng, 0.32 + lure, size)
    pick = rng.random(size)
    day = np.where(
        at_weekend,
        weekend[blocks, (pick * weekend.shape[1]).astype(np.int64)],
        week[blocks, (pick * week.shape[1]).astype(np.int64)],
    )
    late = happens(rng, 0.36 + 1.2 * lure, size)
    hour = np.where(late, 18.0, 7.0) + rng.random(size) * np.where(late, 5.0, 11.0)
    start = START_US + blocks * (BLOCK_DAYS * DAY)
    moment = start + day * DAY + (hour * 3600).astype(np.int64) * SECOND
    hurried = not_before + rng.integers(60, 3 * 3600, size) * SECOND
    return np.where(moment < not_before, hurried, moment)


def _days_of_blocks() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the weekend days [BLOCKS, 4] and the other days [BLOCKS, 10] of each block."""
    weekend, week = [], []
    for block in range(BLOCKS):
        start = START + timedelta(days=block * BLOCK_DAYS)
        days = range(BLOCK_DAYS)
        weekend.append([d for d in days if (start.weekday() + d) % 7 >= _SATURDAY][:4])
        week.append([d for d in days if (start.weekday() + d) % 7 < _SATURDAY][:10])
    return np.array(weekend), np.array(week)


def arrival(
    moment: NDArray[np.int64], *, late_share: float, late_days: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return when each row reached the warehouse: within the hour, or days late."""
    prompt = moment + rng.integers(1, 55, moment.size) * MINUTE
    late = happens(rng, late_share, moment.size)
    days = (rng.random(moment.size) * late_days * DAY).astype(np.int64) // SECOND * SECOND
    return np.where(late, prompt + 12 * HOUR + days, prompt)

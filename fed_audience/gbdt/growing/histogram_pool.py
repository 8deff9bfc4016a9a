"""Room for the histograms of the nodes that are still to be split: memory used over and over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

NO_PLACE: Final = -1
_FIRST_PLACES: Final = 16


class HistogramPool:
    """Places for histograms of ``slots`` slots: one block of memory, for one kernel call a level.

    ``start`` empties it for the next trees. It doubles when no place is free.
    """

    def __init__(self) -> None:
        self.sums: NDArray[np.int64] = np.empty((0, 0, 2), dtype=np.int64)
        self._free: list[int] = []

    def start(self, slots: int) -> None:
        """Make every place free, for histograms int64[slots, 2]."""
        if self.sums.shape[1] != slots:
            self.sums = np.empty((_FIRST_PLACES, slots, 2), dtype=np.int64)
        self._free = list(range(len(self.sums)))[::-1]

    def take(self) -> int:
        """Return a free place; ``sums`` may be another array after."""
        if not self._free:
            taken = len(self.sums)
            grown = np.empty((2 * taken, *self.sums.shape[1:]), dtype=np.int64)
            grown[:taken] = self.sums
            self.sums = grown
            self._free = list(range(taken, 2 * taken))[::-1]
        return self._free.pop()

    def give_back(self, place: int) -> int:
        """Free ``place`` unless it is NO_PLACE; return NO_PLACE."""
        if place != NO_PLACE:
            self._free.append(place)
        return NO_PLACE

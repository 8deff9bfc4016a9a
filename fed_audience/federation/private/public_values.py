"""What may be known of a feature without looking at rows: its range, or its categories."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from fed_audience.errors import ConfigError
from fed_audience.gbdt.bins import MAX_BINS, NumericBins
from fed_audience.gbdt.bins.canonical import LARGEST

MOST_CATEGORIES: Final = MAX_BINS - 2

_LINEAR_CELLS: Final = 128
_SCALES: Final = 63
_STEPS_A_DOUBLING: Final = 4.5


@dataclass(frozen=True, slots=True)
class PublicValues:
    """The public range or the public categories of one feature. Raises ConfigError.

    ``low`` and ``high``: of a number; values beyond fall in the outermost bin. ``categories``: of
    a category; any other value counts as missing.
    """

    feature: str
    low: float | None = None
    high: float | None = None
    categories: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.low is not None and self.high is not None and not self.categories:
            object.__setattr__(self, "low", float(self.low))
            object.__setattr__(self, "high", float(self.high))
            if not -LARGEST <= self.low <= self.high <= LARGEST:
                raise ConfigError(
                    f"the public range of feature {self.feature} is none",
                    value=f"{self.low} to {self.high}",
                    limit="low at most high, both within +-2^64",
                    fix="declare the range that the feature can have, whatever the data say",
                )
        elif self.low is not None or self.high is not None or not self.categories:
            raise ConfigError(
                f"feature {self.feature} needs a public range or public categories, one of them",
                fix="declare low and high of a number, the list of a category",
            )
        elif len(set(self.categories)) != len(self.categories) or (
            len(self.categories) > MOST_CATEGORIES
        ):
            raise ConfigError(
                f"the public categories of feature {self.feature} cannot be told apart",
                value=f"{len(self.categories)}, {len(set(self.categories))} of them different",
                limit=f"up to {MOST_CATEGORIES}, each named once",
                fix="list the common ones; all others count as missing",
            )

    @property
    def categorical(self) -> bool:
        """Whether the feature is one of categories."""
        return bool(self.categories)

    def cells(self) -> NumericBins:
        """Cells of a number's range to be counted for its bins, the same for any data.

        Equal steps through the range, which resolve an age, and steps in proportion on both sides
        of zero, which resolve an amount whose largest values are far out.
        """
        low, high = self.low or 0.0, self.high or 0.0
        reach = max(abs(low), abs(high))
        sizes = reach * 2.0 ** (-np.arange(1, _SCALES + 1) / _STEPS_A_DOUBLING)
        even = np.linspace(low, high, _LINEAR_CELLS + 1)[1:-1]
        every = np.concatenate([even, sizes, -sizes, [0.0]])
        short = {float(f"{cut:.6g}") for cut in every[(every >= low) & (every < high)]}
        return NumericBins(tuple(sorted(short)))

    def equal_bins(self, bins: int) -> NumericBins:
        """Split the range into ``bins`` equal parts, for want of counts that say better."""
        low, high = self.low or 0.0, self.high or 0.0
        cuts = {float(f"{cut:.6g}") for cut in np.linspace(low, high, bins + 1)[1:-1]}
        return NumericBins(tuple(sorted(cut for cut in cuts if low < cut < high)))

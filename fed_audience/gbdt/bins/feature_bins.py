"""What a bin is: the agreed cuts of a feature, and the code a value gets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MISSING_CODE: Final = 255
"""Code of a missing number, and of a missing, rare or unseen category."""

MAX_BINS: Final = 255
"""Most bins a feature may have, its missing bin included: codes are one byte."""


@dataclass(frozen=True, slots=True)
class NumericBins:
    """Ascending thresholds; a value's code is the number of thresholds below it.

    ``x <= thresholds[b]`` means ``code(x) <= b``, which is LightGBM's ``x <= threshold``.
    """

    thresholds: tuple[float, ...]

    @property
    def size(self) -> int:
        """Number of non-missing bins."""
        return len(self.thresholds) + 1


@dataclass(frozen=True, slots=True)
class CategoryBins:
    """Hash prefixes of the categories that are common enough; code = position.

    A prefix is the first 24 bits of the category's keyed hash. Order: count descending,
    then prefix ascending. Every other category shares ``MISSING_CODE``.
    """

    prefixes: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of categories with a code of their own."""
        return len(self.prefixes)


FeatureBins = NumericBins | CategoryBins


@dataclass(frozen=True, slots=True)
class Feature:
    """Name and kind of a feature as the run manifest declares it."""

    name: str
    categorical: bool = False

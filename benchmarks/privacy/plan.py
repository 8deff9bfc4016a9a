"""What is measured of privacy: each block one module, run alone in a fresh process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Measurement:
    """``measure(**options)`` of a module of ``benchmarks.<part>``; it returns a table's rows."""

    block: str
    module: str
    options: tuple[tuple[str, Any], ...] = ()
    repeats: int = 1
    part: str = "privacy"


BLOCKS: Final = {
    "secure_sum": "the secure sum: milliseconds of a site's processor for one round of 100,000 "
    "integers, and of the coordinator's",
    "secure_training": "what masks multiply the processor time of training by: 300k x 30, 3 sites, "
    "30 trees, in one process, one thread, 15 alternating pairs",
    "upload": "bytes that one of 3 sites sends, 30 features, 64 bins, depth 6",
    "audit_entry": "one signed entry of the audit log, appended and read back",
    "overlap": "overlap of two lists of 50,000: processor time of both brands together, divided by "
    "the length of one list",
    "label_inference": "labels that the first tree's histograms tell: rows alone in a cell, tree "
    "of depth 6, 10 sites, 30 numbers a row",
    "differencing": "the root histogram of a site that leaves, from the sums with it and without",
    "membership": "membership inference (LiRA): 64 models of 5,000 rows each, drawn from 10,000 of "
    "Adult; each attacked with the 63 others as shadows",
    "canary": "the canary audit: 800 noisy runs with one far-off row and 800 without, half of "
    "which choose the threshold; what is proved of epsilon with 95 % confidence",
    "dp_quality": "what noise costs: AUC on held-out rows of Adult (30,162 rows without gaps) and "
    "Bank (41,188 rows), delta 1e-6",
    "dp_measures": "what a noisy run tells of its own model: AUC from noisy counts over a fifth of "
    "its rows, beside that on other rows; how far off, and whether its interval holds it",
}
"""Block -> what it measures, and how often."""


def measurements() -> tuple[Measurement, ...]:
    """Return the whole plan, in order."""
    return tuple(Measurement(block, block) for block in BLOCKS)

"""What the privacy part is held to, each figure computed from the rows of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from benchmarks.goals import Goal

Found = Mapping[str, Sequence[Mapping[str, Any]]]
"""Block -> the rows that it measured."""

MIB: Final = 2**20
SECURE_SUM: Final = {3: 1.6, 10: 2.0, 50: 8.0, 500: 75.0}
"""Sites -> milliseconds of a site's processor for one round of 100,000 integers of 64 bits."""


def worst(block: str, figure: str, *, scale: float = 1.0, **where: Any) -> Callable[..., Any]:
    """Return what finds the largest ``figure`` among the rows of ``block`` that are ``where``."""

    def compute(found: Found) -> float | None:
        values = [
            row[figure] * scale
            for row in found.get(block, ())
            if all(row[name] == value for name, value in where.items())
            and row.get(figure) is not None
        ]
        return max(values, default=None)

    return compute


GOALS: Final[tuple[Goal[Found], ...]] = (
    *(
        Goal(
            f"secure sum of 100,000 integers, {sites} sites: a site's processor, ms a round",
            most,
            None,
            worst("secure_sum", "mask", sites=sites, bits=64, size=100_000),
        )
        for sites, most in SECURE_SUM.items()
    ),
    Goal(
        "secure training / plain training, 3 sites, 300k x 30, 64 bins, processor time",
        1.15,
        None,
        worst("secure_training", "ratio", bins=64),
        form=".3f",
    ),
    Goal(
        "upload of a site for a level of 32 nodes, 30 features, 64 bins, MiB",
        0.5,
        None,
        worst("upload", "bytes", scale=1 / MIB, nodes=32),
    ),
    Goal(
        "audit log, one signed entry, microseconds",
        100,
        None,
        worst("audit_entry", "append_us"),
        form=".0f",
    ),
    Goal(
        "overlap of two brands, both brands' processors, microseconds a pair",
        300,
        None,
        worst("overlap", "cpu_us_a_pair"),
        form=".0f",
    ),
    Goal(
        "labels read from one masked message of a site",
        0,
        None,
        worst("label_inference", "labels_told", read="one masked message"),
        form=".0f",
    ),
    Goal(
        "cells of a leaver's root histogram that the sums give away under the rules",
        0,
        None,
        worst("differencing", "cells_exact", rules="ours"),
        form=".0f",
    ),
)

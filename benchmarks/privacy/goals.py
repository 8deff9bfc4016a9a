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


def worst(
    block: str, figure: str, *, scale: float = 1.0, noisy: bool = False, **where: Any
) -> Callable[[Found], float | None]:
    """Return what finds the largest ``figure`` among the rows of ``block`` that are ``where``.

    ``noisy``: only rows that have an epsilon.
    """

    def compute(found: Found) -> float | None:
        values = [
            row[figure] * scale
            for row in found.get(block, ())
            if all(row.get(name) == value for name, value in where.items())
            and (not noisy or row["epsilon"] is not None)
        ]
        return max(values, default=None)

    return compute


DP_AUC: Final = {
    "adult": {0.5: 0.898, 1.0: 0.906, 4.0: 0.911, 8.0: 0.912},
    "bank": {0.5: 0.735, 1.0: 0.765, 4.0: 0.775, 8.0: 0.776},
}
"""Table -> epsilon -> AUC at least, delta 1e-6, no colluders."""

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
        "the same, 255 bins, the default",
        1.15,
        None,
        worst("secure_training", "ratio", bins=255),
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
    Goal(
        "members found at 1 % false alarms (LiRA), with noise, percent",
        2,
        None,
        worst("membership", "tpr_at_1_percent", scale=100, noisy=True),
    ),
    Goal(
        "epsilon that the canary proves / epsilon claimed",
        1,
        None,
        worst("canary", "share_of_claim"),
    ),
    *(
        Goal(
            f"AUC on {table}, epsilon {epsilon:g}, no colluders, mean of 10 seeds",
            least,
            None,
            worst(
                "dp_quality",
                "auc",
                noise="masks",
                table=table,
                epsilon=epsilon,
                colluders=0,
                positives=None,
            ),
            higher=True,
            form=".3f",
        )
        for table, wanted in DP_AUC.items()
        for epsilon, least in wanted.items()
    ),
)

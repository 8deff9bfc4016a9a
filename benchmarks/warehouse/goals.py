"""What the warehouse part is held to, each figure computed from the rows of a run."""

from __future__ import annotations

from typing import Final

from benchmarks.goals import Goal
from benchmarks.privacy.goals import Found, worst

SECONDS_TO_CODES: Final = {"duckdb": 4.0, "postgres": 12.0}

GOALS: Final[tuple[Goal[Found], ...]] = (
    *(
        Goal(
            f"warehouse to codes, 1M x 60, {engine}, seconds",
            most,
            None,
            worst("codes", "seconds", engine=engine),
        )
        for engine, most in SECONDS_TO_CODES.items()
    ),
    *(
        Goal(
            f"the same, {engine}, most that was resident, MB",
            600,
            None,
            worst("codes", "peak_mb", engine=engine),
            form=".0f",
        )
        for engine in SECONDS_TO_CODES
    ),
    Goal(
        "read, score and write 1M x 60, 100 trees, duckdb, seconds",
        15,
        None,
        worst("scoring", "seconds", engine="duckdb"),
    ),
    Goal(
        "the same / LightGBM's predict alone",
        1.5,
        None,
        worst("scoring", "ratio", engine="duckdb"),
    ),
    Goal("dbt build, duckdb, seconds", 120, None, worst("build", "seconds"), form=".0f"),
    Goal("dbt build, duckdb, GiB", 8, None, worst("build", "peak_gib"), form=".1f"),
    Goal(
        "hook to claim, duckdb, worst of 20, seconds beyond the poll interval",
        1,
        None,
        worst("request_latency", "beyond_poll_seconds"),
    ),
)

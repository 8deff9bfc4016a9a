"""The figures that the project is held to, each computed from the entries of a run."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from benchmarks.results import Entry

BOTH: Final = ("binning", "boosting")
Entries = Sequence[Entry]
FoundT = TypeVar("FoundT")


@dataclass(frozen=True)  # Generic leaves no room for slots before Python 3.12
class Goal(Generic[FoundT]):
    """One figure of what was found: ``must`` be reached, ``aim`` is hoped for, where there is one.

    ``higher``: larger is better. ``compute`` returns None where a cell it needs was not run.
    """

    what: str
    must: float
    aim: float | None
    compute: Callable[[FoundT], float | None]
    higher: bool = False
    form: str = ".2f"

    def state(self, found: FoundT) -> dict[str, Any]:
        """Return the figure beside its bounds, and the verdict."""
        value = self.compute(found)
        sign = -1 if self.higher else 1
        verdict = "not measured"
        if value is not None:
            # As printed: a figure that reads 0.70 meets a bound of 0.70.
            seen = sign * float(format(value, self.form))
            verdict = "missed" if seen > sign * self.must else "met"
            if self.aim is not None and seen <= sign * self.aim:
                verdict = "aim met"
        return {
            "what": self.what,
            "value": value,
            "must": self.must,
            "aim": self.aim,
            "form": self.form,
            "verdict": verdict,
        }


def find(
    entries: Entries, block: str, learner: str, *, threads: int | None = None, sites: int = 1
) -> Entry | None:
    """Return the measured entry of that block, or None."""
    for entry in entries:
        cell = entry.cell
        if (cell.block, cell.learner, cell.task.sites) == (block, learner, sites) and (
            threads in {None, cell.task.threads} and entry.samples and not cell.uncompiled
        ):
            return entry
    return None


def ratio(one: Entry | None, other: Entry | None, *parts: str, clock: str = "wall") -> float | None:
    """Ratio of the medians of the seconds of ``parts``."""
    if one is None or other is None:
        return None
    a, b = one.median(*parts, clock=clock), other.median(*parts, clock=clock)
    return None if a is None or b is None else a / b


def differences(entries: Entries) -> dict[str, list[float]]:
    """Quality of ours minus LightGBM's, by table, one figure a seed."""
    found: dict[tuple[str, int], dict[str, float]] = defaultdict(dict)
    for entry in entries:
        if entry.cell.block == "quality" and (quality := entry.middle("quality")) is not None:
            found[entry.cell.table, entry.cell.seed][entry.cell.learner] = quality
    by_table: dict[str, list[float]] = defaultdict(list)
    for (table, _), pair in sorted(found.items()):
        if len(pair) == 2:
            by_table[table].append(pair["ours"] - pair["lightgbm_pooled"])
    return dict(by_table)


def _against_lightgbm(
    block: str, threads: int, *parts: str, sites: int = 1
) -> Callable[[Entries], float | None]:
    return lambda entries: ratio(
        find(entries, block, "ours", threads=threads, sites=sites),
        find(entries, block, "lightgbm_pooled", threads=threads),
        *parts,
    )


def _federated(entries: Entries) -> float | None:
    one = find(entries, "federated", "ours", sites=3)
    return ratio(one, find(entries, "federated", "xgboost_federated", sites=3), *BOTH)


def _mean_of_tables(entries: Entries) -> float | None:
    found = differences(entries)
    return statistics.mean(map(statistics.mean, found.values())) if found else None


def _worst_of_tables(entries: Entries) -> float | None:
    found = differences(entries)
    return min(map(statistics.mean, found.values())) if found else None


def beyond_codes(entry: Entry | None, peak: str = "boosting_peak") -> float | None:
    """Bytes a row held beyond the codes, and beyond what the process held before the fit."""
    if entry is None:
        return None
    return statistics.median(
        float(one[peak] - one["baseline"] - one["codes"]) / entry.cell.rows for one in entry.samples
    )


def _per_row(entries: Entries) -> float | None:
    large = find(entries, "large", "ours", threads=2)
    small = find(entries, "two_threads", "ours", threads=2)
    found = ratio(large, small, "boosting")
    if found is None or large is None or small is None:
        return None
    return found * small.cell.rows / large.cell.rows


def _start(entries: Entries) -> float | None:
    entry = find(entries, "start", "first_histogram")
    # It has no binning of its own: everything up to the histogram is one figure.
    return entry.median(*BOTH) if entry else None


def _demand(entries: Entries) -> float | None:
    one, other = (find(entries, "demand", name) for name in ("ours", "lightgbm_pooled"))
    if one is None or other is None:
        return None
    a, b = one.middle("quality"), other.middle("quality")
    return None if a is None or b is None else a / b


GOALS: Final[tuple[Goal[Entries], ...]] = (
    Goal(
        "time / LightGBM, 1M x 30, 1 thread, binning excluded",
        0.70,
        0.55,
        _against_lightgbm("one_thread", 1, "boosting"),
    ),
    Goal(
        "the same, 2 threads, binning included",
        0.85,
        0.65,
        _against_lightgbm("two_threads", 2, *BOTH),
    ),
    Goal(
        "time / LightGBM, 200k x 200, 1 thread, binning excluded",
        0.70,
        0.55,
        _against_lightgbm("wide", 1, "boosting"),
    ),
    Goal(
        "3 in-process sites / LightGBM on pooled rows, 1M x 30, 2 threads, binning included",
        0.95,
        0.75,
        _against_lightgbm("two_threads", 2, *BOTH, sites=3),
    ),
    Goal("time / xgboost 3.2.0 federated, 300k x 30, 3 sites", 0.5, 0.3, _federated),
    Goal("AUC minus LightGBM's, mean over six tables", -0.001, 0.0, _mean_of_tables, True, "+.4f"),
    Goal("the same, worst table", -0.003, 0.0, _worst_of_tables, True, "+.4f"),
    Goal(
        "peak memory while boosting 5M x 30 beyond the codes, bytes a row",
        60,
        40,
        lambda entries: beyond_codes(find(entries, "large", "ours", threads=2)),
        form=".0f",
    ),
    Goal("boosting time per row at 5M / at 1M, 2 threads", 1.15, 1.0, _per_row),
    Goal("process start to the first histogram, imports included, seconds", 1.5, 1.0, _start),
    Goal("Poisson RMSE / LightGBM's, meal demand", 1.01, 1.0, _demand, form=".3f"),
)

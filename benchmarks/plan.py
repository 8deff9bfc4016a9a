"""What is measured: blocks of cells, the cells of a block run in turn, over and over."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Final

from benchmarks.learners import Task

if TYPE_CHECKING:
    from collections.abc import Iterator

POOLED: Final = ("ours", "lightgbm_pooled", "xgboost_hist", "sklearn_hist")
PAIR: Final = POOLED[:2]
REAL: Final = ("bank", "adult", "shoppers", "hillstrom")
GENERATED_QUALITY: Final = {"mixed": 200_000, "wide": 100_000}
_OURS: Final = ("fed-audience", "numba", "numpy", "pyarrow")
PACKAGES: Final[dict[str, tuple[str, ...]]] = {
    "ours": _OURS,
    "first_histogram": _OURS,
    "lightgbm_pooled": ("lightgbm",),
    "xgboost_hist": ("xgboost",),
    "xgboost_federated": ("xgboost",),
    "sklearn_hist": ("scikit-learn",),
    "fedtree_horizontal": ("fedtree",),
}
"""Learner -> the packages whose versions matter to it."""

PEERS: Final = frozenset({"xgboost_hist", "xgboost_federated", "fedtree_horizontal"})
"""Learners of the second environment, too large for the one that every developer has."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One learner on one table, run ``repeats`` times in fresh processes.

    ``rows`` 0: a real table, which has the rows it has. ``cold``: nothing warms up before.
    ``uncompiled``: the kernel cache is empty too.
    """

    block: str
    learner: str
    table: str
    rows: int
    task: Task
    repeats: int = 3
    seed: int = 1
    cold: bool = False
    uncompiled: bool = False


def cells(*, most_rows: int | None, trees: int | None, repeats: int | None) -> Iterator[Cell]:
    """Yield the whole plan, made smaller where asked: at most so many rows, trees, repeats."""
    for cell in _whole():
        task = cell.task if trees is None else replace(cell.task, trees=min(cell.task.trees, trees))
        yield replace(
            cell,
            task=task,
            rows=cell.rows if most_rows is None else min(cell.rows, most_rows),
            repeats=cell.repeats if repeats is None else min(cell.repeats, repeats),
        )


BLOCKS: Final = {
    "one_thread": "1M x 30, one thread",
    "two_threads": "1M x 30, two threads; ours over 1, 3 and 10 sites too",
    "wide": "200k x 200, one thread and two",
    "large": "5M x 30: time per row, and memory",
    "federated": "300k x 30 over 3 sites: XGBoost's plugin, FedTree",
    "cold": "300k x 30 from the start of the process",
    "start": "from the start of a process to the first histogram",
    "quality": "AUC on real and generated tables, five splits or seeds each",
    "demand": "orders of meals: Poisson",
}


def _whole() -> Iterator[Cell]:
    yield from _timed()
    yield from _federated()
    yield from _from_the_start()
    yield from _judged()


def _timed() -> Iterator[Cell]:
    million = ("mixed", 1_000_000)
    for learner in POOLED:
        yield Cell("one_thread", learner, *million, Task(), _times(learner))
    for learner in POOLED:
        yield Cell("two_threads", learner, *million, Task(threads=2), _times(learner))
    for sites in (3, 10):
        yield Cell("two_threads", "ours", *million, Task(threads=2, sites=sites))
    for threads, learner in product((1, 2), POOLED):
        yield Cell("wide", learner, "wide", 200_000, Task(threads=threads), _times(learner))
    for threads, learner in product((2, 1), POOLED):
        if threads == 2 or learner in PAIR:
            task = Task(threads=threads, streamed=learner == "ours")
            yield Cell("large", learner, "mixed", 5_000_000, task, repeats=1)


def _times(learner: str) -> int:
    """Repeats: three of the pair whose ratio is judged, one of who stands beside it."""
    return 3 if learner in PAIR else 1


def _federated() -> Iterator[Cell]:
    table = ("mixed", 300_000)
    for learner in ("ours", "xgboost_federated"):
        yield Cell("federated", learner, *table, Task(threads=2, sites=3))
    few = Task(5, threads=2, sites=3)
    yield Cell("federated", "fedtree_horizontal", *table, few, repeats=1)


def _from_the_start() -> Iterator[Cell]:
    table, task = ("mixed", 300_000), Task(threads=2)
    for learner in POOLED:
        yield Cell("cold", learner, *table, task, _times(learner), cold=True)
    yield Cell("cold", "ours", *table, task, repeats=1, cold=True, uncompiled=True)
    yield Cell("start", "first_histogram", "mixed", 10_000, Task(), repeats=5, cold=True)


def _judged() -> Iterator[Cell]:
    tables = {**dict.fromkeys(REAL, 0), **GENERATED_QUALITY}
    for seed, (table, rows), learner in product(range(5), tables.items(), PAIR):
        yield Cell("quality", learner, table, rows, Task(threads=2), repeats=1, seed=seed)
    task = Task(300, threads=2, objective="poisson", learning_rate=0.05)
    for learner in PAIR:
        yield Cell("demand", learner, "demand", 0, task, repeats=1)

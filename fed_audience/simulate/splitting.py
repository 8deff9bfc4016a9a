"""Who holds which row: test rows first, drawn by hash, then sites.

A row's draw depends on the seed and its key only: its place in the file, or its group, so that a
person's rows stay on one side.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fed_audience.errors import DataError
from fed_audience.gbdt.growing.sampling import chosen, keyed, row_hashes
from fed_audience.simulate.settings import MAX_SITES

if TYPE_CHECKING:
    import numpy.typing as npt

    from fed_audience.simulate.problem import Problem
    from fed_audience.simulate.settings import SimulationSettings

NO_SITE: Final = "(missing)"
"""Name of the site of rows whose site column is empty."""


@dataclass(frozen=True, slots=True)
class Deal:
    """``test``: bool[n]. ``site``: int[n], position in ``sites``."""

    sites: tuple[str, ...]
    site: npt.NDArray[np.intp]
    test: npt.NDArray[np.bool_]

    def training_rows(self, site: int | None = None) -> npt.NDArray[np.intp]:
        """Row numbers that train, of one site or of all."""
        here = True if site is None else self.site == site
        return np.flatnonzero(~self.test & here)

    def test_rows(self, site: int | None = None) -> npt.NDArray[np.intp]:
        """Row numbers that test, of one site or of all."""
        here = True if site is None else self.site == site
        return np.flatnonzero(self.test & here)


def deal(problem: Problem, settings: SimulationSettings) -> Deal:
    """Deal the rows. Raises DataError when training or test rows are all of one class."""
    hashes = _keys(problem)
    if problem.test_from is not None:
        test = np.arange(problem.rows) >= problem.test_from
    else:
        draws = keyed(hashes, seed=settings.seed, use="test")
        test = chosen(draws, settings.test_fraction)
    for part, rows in (("training", ~test), ("test", test)):
        found = np.unique(problem.labels[rows])
        if len(found) < 2:  # noqa: PLR2004 - positive and negative
            raise DataError(
                f"the {part} rows are of one class only",
                value=f"{int(rows.sum())} rows",
                limit="two different labels or more",
                fix="give more rows, or another --test-fraction or --seed",
            )
    sites, site = _sites(problem, settings, hashes)
    return Deal(sites, site, test)


def _keys(problem: Problem) -> npt.NDArray[np.uint64]:
    own = row_hashes(pa.array(np.arange(problem.rows)))
    groups: Any = problem.groups
    if groups is None:
        return own
    # A row without a group is a group of its own.
    return np.where(pc.is_null(groups).to_numpy(), own, row_hashes(groups.fill_null("")))


def _sites(
    problem: Problem,
    settings: SimulationSettings,
    hashes: npt.NDArray[np.uint64],
) -> tuple[tuple[str, ...], npt.NDArray[np.intp]]:
    values: Any = problem.site_values
    if values is not None:
        values = values.fill_null(NO_SITE)
        names = tuple(sorted(pc.unique(values).to_pylist(), key=_natural))
        if len(names) > MAX_SITES:
            raise DataError(
                f"column {settings.site_column!r} names too many sites",
                value=len(names),
                limit=MAX_SITES,
                fix="choose a column with fewer values, such as a region or brand",
            )
        index = pc.index_in(values, value_set=pa.array(names, pa.string()))
        return names, index.to_numpy().astype(np.intp)
    count = settings.sites
    names = tuple(f"site_{number}" for number in range(1, count + 1))
    if settings.split == "time":
        return names, _blocks(problem, count)
    uniform = keyed(hashes, seed=settings.seed, use="site") / 2.0**64
    kinds = _kinds(problem, settings)
    if settings.alpha is None:
        shares = np.full((len(kinds), count), 1.0 / count)
    else:
        random = np.random.default_rng(settings.seed)
        shares = random.dirichlet(np.full(count, settings.alpha), size=len(kinds))
    site = np.zeros(problem.rows, np.intp)
    for label, rows in enumerate(kinds):
        site[rows] = np.searchsorted(np.cumsum(shares[label])[:-1], uniform[rows], side="right")
    return names, site


def _kinds(problem: Problem, settings: SimulationSettings) -> list[npt.NDArray[np.bool_]]:
    """Rows of each label, which a skewed split spreads unevenly; numbers in two halves."""
    if settings.learns in {"binary", "multiclass"}:
        return [problem.labels == label for label in range(max(2, len(problem.classes)))]
    high = problem.labels > np.median(problem.labels)
    return [~high, high]


def _blocks(problem: Problem, count: int) -> npt.NDArray[np.intp]:
    """Blocks of file order; a separate test file is cut into blocks of its own."""
    first = problem.rows if problem.test_from is None else problem.test_from
    sizes = [first, problem.rows - first]
    return np.concatenate([np.arange(size) * count // max(size, 1) for size in sizes])


def _natural(name: str) -> tuple[int, float, str]:
    """Order numbers by value and before words."""
    return (0, float(name), name) if name.lstrip("-").isdigit() else (1, 0.0, name)

"""What can be worked out from all sums of a run, by exact linear algebra.

A released sum is a vector over (site, statistic): one wherever a site's statistic is in it. What an
observer can compute from the sums by adding and subtracting is their span; relations that hold for
every table (a parent is the sum of its children, a tree-0 hessian is a constant times a count) are
put in by naming both sides by the same statistics. A vector supported on one site would be that
site's number. Ranks are taken over the rationals, so no rounding can hide one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction

Statistic = str
Released = tuple[tuple[str, ...], dict[Statistic, int]]
"""Sites of a sum, and the combination of each site's statistics that was summed."""


def rank(rows: Iterable[Sequence[int]]) -> int:
    """Rank over the rationals, by elimination."""
    left_over = [[Fraction(value) for value in row] for row in rows]
    found = 0
    columns = len(left_over[0]) if left_over else 0
    for column in range(columns):
        pivot = next((row for row in left_over[found:] if row[column]), None)
        if pivot is None:
            continue
        left_over.remove(pivot)
        left_over.insert(found, pivot)
        for row in left_over[found + 1 :]:
            if row[column]:
                factor = row[column] / pivot[column]
                for place in range(column, columns):
                    row[place] -= factor * pivot[place]
        found += 1
    return found


def exposed(released: list[Released], sites: Sequence[str]) -> list[str]:
    """Sites about which some combination of the released sums says something of them alone.

    The span holds a vector supported on a site exactly when leaving out the site's columns
    lowers the rank.
    """
    statistics = sorted({name for _, content in released for name in content})
    places = [(site, name) for site in sites for name in statistics]
    matrix = [
        [content.get(name, 0) if site in cohort else 0 for site, name in places]
        for cohort, content in released
    ]
    full = rank(matrix)
    found = []
    for alone in sites:
        others = [i for i, (site, _) in enumerate(places) if site != alone]
        if rank([[row[i] for i in others] for row in matrix]) < full:
            found.append(alone)
    return found

"""Rounds and cohorts: which sites may be summed together, and when one may be missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

MIN_COHORT: Final = 3
"""Sites below which a sum is no secret: of two, each knows its own and so the other's."""

MIN_CHANGE: Final = 3
"""Sites that must join or leave together, for the same reason."""

DROPOUT_COHORT: Final = 10
"""Sites from which a root round can go on without some: below, two thirds and one of the cohort
and changes by three forbid every smaller set."""

MAX_ATTEMPTS: Final = 4
"""Attempts of a root for which shares are deposited."""


@dataclass(frozen=True, slots=True, order=True)
class Round:
    """One question to a cohort. ``tree`` is negative before the first tree."""

    run: str
    tree: int
    level: int
    attempt: int = 0

    @property
    def position(self) -> tuple[int, int]:
        """Order of rounds within a run."""
        return (self.tree, self.level)


def quorum(cohort: int) -> int:
    """Sites that must survive of ``cohort``: two sets of this size share more than a third."""
    return 2 * cohort // 3 + 1


def tolerates_dropouts(cohort: int, asked: Round) -> bool:
    """Whether ``asked`` may go on without some of ``cohort`` sites.

    The root of a later tree alone: counts travel before it, and the first tree's hessians are
    counts. Deeper rounds take every site of their tree.
    """
    return cohort >= DROPOUT_COHORT and asked.level == 0 and asked.tree > 0


def small_groups(cohorts: Iterable[Collection[str]]) -> list[list[str]]:
    """Return the groups of fewer than three sites that the sums over ``cohorts`` can tell apart.

    Sites that were in and out of the same cohorts are a group. Whatever combination of the sums
    one takes, all sites of a group carry the same factor: with groups of three or more, nothing
    about fewer than three sites is in their span.
    """
    sets = [frozenset(cohort) for cohort in cohorts]
    groups: dict[tuple[bool, ...], list[str]] = {}
    for site in sorted(frozenset().union(*sets)):
        groups.setdefault(tuple(site in one for one in sets), []).append(site)
    return [group for group in groups.values() if len(group) < MIN_CHANGE]

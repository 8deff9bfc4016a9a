"""What can be worked out from all sums of a run: nothing about one site."""

from __future__ import annotations

import numpy as np
import pytest

from fed_audience.privacy.refusals import SecureSumError
from fed_audience.privacy.rounds import Round
from tests.privacy.consortium import RUN, Consortium, plain_sum
from tests.privacy.exact_rank import Released, Statistic, exposed, rank

ROOT_CHILDREN = ("left-left", "left-right", "right-left", "right-right")


def root(tree: int) -> dict[Statistic, int]:
    """A tree's root: the sum of its four grandchildren. In tree 0 these are counts."""
    return {_named(tree, leaf): 1 for leaf in ROOT_CHILDREN}


def left(tree: int) -> dict[Statistic, int]:
    return {_named(tree, leaf): 1 for leaf in ROOT_CHILDREN[:2]}


def left_left(tree: int) -> dict[Statistic, int]:
    return {_named(tree, ROOT_CHILDREN[0]): 1}


def _named(tree: int, leaf: str) -> Statistic:
    return f"count {leaf}" if tree <= 0 else f"tree {tree} {leaf}"


def test_the_rank_is_that_of_linear_algebra() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        matrix = rng.integers(-2, 3, (5, 6))
        assert rank(matrix.tolist()) == np.linalg.matrix_rank(matrix)
    assert rank([]) == 0


def test_a_dropout_below_the_root_would_expose_the_leaver() -> None:
    """What the rules forbid is found: a parent of all, its children without one."""
    sites = [f"s{number}" for number in range(4)]
    children = [left(1), {_named(1, leaf): 1 for leaf in ROOT_CHILDREN[2:]}]
    released = [(tuple(sites), root(1)), *((tuple(sites[:3]), child) for child in children)]
    assert exposed(released, sites) == ["s3"]
    assert exposed([(tuple(sites), one) for one in (root(1), *children)], sites) == []


def test_counts_over_two_cohorts_that_differ_by_one_would_expose_it() -> None:
    sites = [f"s{number}" for number in range(5)]
    released = [(tuple(sites), root(-1)), (tuple(sites[:4]), root(0))]
    assert exposed(released, sites) == ["s4"]
    assert exposed([(tuple(sites), root(-1)), (tuple(sites[:2]), root(0))], sites) == []


def grown(
    consortium: Consortium, tree: int, cohort: tuple[str, ...], gone: tuple[str, ...] = ()
) -> list[Released]:
    """Grow one tree of two levels; sites ``gone`` drop out at its root. What was opened."""
    vectors = consortium.vectors(4)
    asked = Round(RUN, tree, 0)
    survivors = tuple(site for site in cohort if site not in gone)
    masked = consortium.masked(asked, vectors, cohort)
    if tree > 0 and len(cohort) >= 10:
        total = consortium.opened(asked, masked, survivors, cohort=cohort)
        assert np.array_equal(total, plain_sum(vectors, survivors))
    released: list[Released] = [(survivors, root(tree))]
    for level, content in ((1, left(tree)), (2, left_left(tree))):
        consortium.masked(Round(RUN, tree, level), vectors, survivors)
        released.append((survivors, content))
    return released


def binned(consortium: Consortium) -> list[Released]:
    consortium.masked(Round(RUN, -1, 1), consortium.vectors(4))
    return [(consortium.names, root(-1))]


def test_runs_with_dropouts_release_nothing_of_one_site() -> None:
    """Sites leave and come back at roots in every way that the sites allow."""
    consortium = Consortium(16).agreed()
    names = consortium.names
    released = binned(consortium)
    released += grown(consortium, 0, names)
    released += grown(consortium, 1, names, gone=names[:3])
    released += grown(consortium, 2, names[3:], gone=names[-3:])
    released += grown(consortium, 3, names, gone=names[:3])
    released += grown(consortium, 4, names)
    assert exposed(released, names) == []


@pytest.mark.parametrize("seed", range(6))
def test_whatever_a_coordinator_tries_what_sites_allow_exposes_nobody(seed: int) -> None:
    """Cohorts and dropouts are drawn at random; rounds that a site refuses are not released."""
    rng = np.random.default_rng(seed)
    consortium = Consortium(13).agreed()
    names = consortium.names
    released = binned(consortium) + grown(consortium, 0, names)
    refused, last = 0, names
    for tree in range(1, 9):
        drawn = rng.choice(names, rng.integers(10, 14), replace=False).tolist()
        cohort = tuple(sorted({*drawn, *last} if rng.random() < 0.5 else drawn))
        gone = tuple(rng.choice(cohort, rng.choice([0, 1, 2, 3, 4]), replace=False).tolist())
        try:
            released += grown(consortium, tree, cohort, gone)
            last = tuple(site for site in cohort if site not in gone)
        except SecureSumError as error:
            assert error.reason in {"small_change", "no_quorum", "wrong_cohort"}  # noqa: PT017 - any of them
            refused += 1
    assert refused > 0
    assert exposed(released, names) == []

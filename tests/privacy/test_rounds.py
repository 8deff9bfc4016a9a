from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fed_audience.privacy.rounds import Round, quorum, small_groups, tolerates_dropouts


def test_a_quorum_is_two_thirds_and_one() -> None:
    assert [quorum(n) for n in (3, 9, 10, 11, 12, 50, 500)] == [3, 7, 7, 8, 9, 34, 334]


@given(st.integers(3, 600))
def test_two_quorums_share_more_than_a_third(sites: int) -> None:
    assert 2 * quorum(sites) - sites > sites / 3 - 1e-9


@given(st.integers(3, 600))
def test_from_ten_sites_a_batch_of_three_leaves_a_quorum_and_never_below(sites: int) -> None:
    possible = sites - 3 >= quorum(sites)
    assert possible == tolerates_dropouts(sites, Round("run", 1, 0))


def test_roots_of_later_trees_alone_tolerate_dropouts() -> None:
    tolerant = {
        (tree, level)
        for tree in (-1, 0, 1, 7)
        for level in (0, 1, 2)
        if tolerates_dropouts(10, Round("run", tree, level))
    }
    assert tolerant == {(1, 0), (7, 0)}


def test_sites_that_always_went_together_are_a_group() -> None:
    everyone = ["a", "b", "c", "d", "e", "f"]
    assert small_groups([everyone]) == []
    assert small_groups([everyone, everyone[:3]]) == []
    assert small_groups([everyone, everyone[:5]]) == [["f"]]
    assert small_groups([everyone, everyone[:2]]) == [["a", "b"]]


def test_changes_that_are_large_one_by_one_may_be_small_together() -> None:
    everyone = set("abcdefghijklmnop")
    first = everyone - set("abc")
    second = everyone - set("abd")
    assert small_groups([everyone, first]) == []
    assert small_groups([everyone, second]) == []
    assert small_groups([everyone, first, second]) == [["a", "b"], ["c"], ["d"]]

"""Places for histograms: handed out once, kept when there is more to hold."""

from __future__ import annotations

from fed_audience.gbdt.growing.histogram_pool import NO_PLACE, HistogramPool


def test_what_is_kept_survives_growth_and_no_place_is_handed_out_twice() -> None:
    pool = HistogramPool()
    pool.start(7)
    places = list[int]()
    for number in range(100):
        places.append(pool.take())
        pool.sums[places[-1]] = number
    assert len(set(places)) == 100
    assert [pool.sums[place, 6, 1] for place in places] == list(range(100))


def test_a_place_given_back_is_taken_again() -> None:
    pool = HistogramPool()
    pool.start(3)
    place = pool.take()
    assert pool.give_back(place) == NO_PLACE
    assert pool.give_back(NO_PLACE) == NO_PLACE
    assert pool.take() == place


def test_trees_of_other_features_start_anew_and_of_the_same_use_the_same_memory() -> None:
    pool = HistogramPool()
    pool.start(3)
    first = pool.sums
    taken = {pool.take() for _ in range(len(first))}
    pool.start(3)
    assert pool.sums is first
    assert {pool.take() for _ in range(len(first))} == taken
    pool.start(4)
    assert pool.sums.shape[1:] == (4, 2)

"""Sums travel in as few and as short elements as their bounds allow, and are read back exactly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError

from fed_audience.errors import FederationError
from fed_audience.federation.messages.packing import (
    WIDE,
    Packing,
    SlotPacking,
    bit_length,
    counts_ring,
)
from fed_audience.gbdt.kernels.packed_sums import NO_SLOTS
from fed_audience.privacy.masks import RING_32, RING_64

Integers = NDArray[np.int64]
NODES = 2


def integers(values: list[int]) -> Integers:
    return np.array(values, dtype=np.int64)


def within(gradient: Integers, hessian: Integers) -> SlotPacking:
    """Choose the packing of sums within +-``gradient`` and 0 .. ``hessian``, int64[slots]."""
    return SlotPacking.of_bits(bit_length(gradient), bit_length(hessian))


def summed(how: SlotPacking, sites: list[Integers], rides: list[list[int]]) -> Integers:
    """Sum ring elements of the sites as the coordinator does."""
    total = np.zeros(how.size(len(sites[0]), len(rides[0])), dtype=f"<u{how.ring.bytes}")
    for pairs, ride in zip(sites, rides, strict=True):
        values = how.pack(pairs, np.array(ride, dtype=np.int64).ravel())
        total = total + how.ring.elements(values)
    return how.ring.integers(total)


@given(st.data())
def test_sums_within_the_bounds_are_read_back(data: st.DataObject) -> None:
    slots, count = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 5))
    widths = st.lists(st.integers(0, 50), min_size=slots, max_size=slots)
    gradient = 2 ** integers(data.draw(widths)) - 1
    hessian = 2 ** integers(data.draw(widths)) - 1
    how = within(gradient, hessian)
    sites = []
    for _ in range(count):
        share = st.lists(st.floats(-1, 1), min_size=slots, max_size=slots)
        parts = np.array([data.draw(share) for _ in range(2 * NODES)]).reshape(NODES, slots, 2)
        of_gradient = np.trunc(parts[:, :, 0] * (gradient // count)).astype(np.int64)
        of_hessian = np.trunc(np.abs(parts[:, :, 1]) * (hessian // count)).astype(np.int64)
        sites.append(np.stack((of_gradient, of_hessian), axis=2))
    whole = st.integers(-(2**62) // count, 2**62 // count)
    rides = [[data.draw(whole), data.draw(whole)] for _ in range(count)]
    pairs, found = how.unpack(summed(how, sites, rides), NODES, rides=2)
    assert np.array_equal(pairs, np.sum(sites, axis=0))
    assert found.tolist() == np.sum(rides, axis=0).tolist()


@pytest.mark.parametrize(
    ("gradient", "hessian", "expected"),
    [
        (2**15 - 1, 2**16 - 1, Packing(bits=32, hessian_bits=16)),
        (2**15, 2**16 - 1, Packing(bits=64, hessian_bits=16)),
        (2**15 - 1, 2**16, Packing(bits=64, hessian_bits=17)),
        (2**31 - 1, 2**32 - 1, Packing(bits=64, hessian_bits=32)),
        (2**31, 2**32 - 1, WIDE),
        (2**31 - 1, 2**32, WIDE),
        (0, 0, Packing(bits=32, hessian_bits=1)),
    ],
)
def test_the_shortest_packing_that_holds_every_sum_is_chosen(
    gradient: int, hessian: int, expected: Packing
) -> None:
    how = within(integers([gradient]), integers([hessian]))
    assert how.packing == expected
    assert not len(how.wide)


def test_a_slot_that_holds_very_many_rows_costs_the_others_nothing() -> None:
    gradient = integers([2**30, 2**40, 2**30, 2**30, 2**20])
    hessian = integers([2**28, 2**38, 2**28, 2**28, 2**18])
    how = within(gradient, hessian)
    assert how.packing == Packing(hessian_bits=29)
    assert how.wide.tolist() == [1]
    assert how.size(nodes=3) == 3 * (5 + 1)


def test_most_slots_outgrowing_an_element_all_take_two() -> None:
    how = within(integers([2**40, 2**40, 2**10]), integers([2**38, 2**38, 2**8]))
    assert how.packing == WIDE
    assert not len(how.wide)


def test_a_share_of_hessian_bits_that_one_slot_needs_may_make_another_wide() -> None:
    """The split of the 64 bits is one for all: 40 for hessians leave 23 and a sign."""
    gradient = integers([2**20, 2**50, 2**20, 2**20])
    hessian = integers([2**40 - 1, 2**5, 2**40 - 1, 2**40 - 1])
    how = within(gradient, hessian)
    assert (how.packing.hessian_bits, how.wide.tolist()) == (40, [1])
    edge = np.stack((-gradient, hessian), axis=1)[None]
    assert np.array_equal(how.unpack(summed(how, [edge], [[]]), 1)[0], edge)


@pytest.mark.parametrize(
    ("gradient", "hessian"), [(2**15 - 1, 2**16 - 1), (2**31 - 1, 2**32 - 1), (2**60, 2**60)]
)
def test_the_extremes_of_a_packing_are_read_back(gradient: int, hessian: int) -> None:
    signs = np.array([1, -1, -1, 1, 0])
    how = within(np.full(5, gradient), np.full(5, hessian))
    edge = np.stack((signs * gradient, integers([hessian, hessian, 0, 0, 0])), axis=1)[None]
    pairs, _ = how.unpack(summed(how, [edge], [[]]), 1)
    assert np.array_equal(pairs, edge)


def test_a_packed_pair_takes_a_quarter_half_or_all_of_sixteen_bytes() -> None:
    for packing, size in ((Packing(bits=32, hessian_bits=9), 4), (Packing(hessian_bits=9), 8)):
        how = SlotPacking(packing, 100, NO_SLOTS)
        assert how.size(1) * how.ring.bytes == 100 * size
    assert SlotPacking(WIDE, 100, NO_SLOTS).size(1, rides=2) * WIDE.ring.bytes == 1_600 + 16
    assert SlotPacking(Packing(bits=32, hessian_bits=9), 0, NO_SLOTS).size(1, rides=2) == 8


@pytest.mark.parametrize(
    ("packing", "wide"),
    [
        (Packing(hessian_bits=9), [3]),
        (Packing(hessian_bits=9), [-1]),
        (Packing(hessian_bits=9), [1, 1]),
        (Packing(hessian_bits=9), [2, 0]),
        (Packing(bits=32, hessian_bits=9), [1]),
        (WIDE, [1]),
    ],
)
def test_slots_that_a_histogram_has_not_are_refused(packing: Packing, wide: list[int]) -> None:
    with pytest.raises(FederationError, match="not ascending slots"):
        SlotPacking.read(packing, np.array(wide, dtype=np.int32), slots=3)


def test_other_widths_cannot_be_asked_for() -> None:
    for fields in ({"bits": 16}, {"hessian_bits": 63}, {"hessian_bits": -1}):
        with pytest.raises(ValidationError):
            Packing(**fields)  # type: ignore[arg-type]


def test_counts_take_half_the_bytes_while_all_rows_fit() -> None:
    assert counts_ring(2**31 - 1) == RING_32
    assert counts_ring(2**31) == RING_64

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fed_audience.federation.messages.packing import WIDE, Packing, counts_ring
from fed_audience.privacy.masks import RING_32, RING_64


def summed(packing: Packing, sites: list[np.ndarray], rides: list[list[int]]) -> np.ndarray:
    """Sum ring elements of the sites as the coordinator does."""
    total = np.zeros(packing.size(len(sites[0]), len(rides[0])), dtype=f"<u{packing.ring.bytes}")
    for pairs, ride in zip(sites, rides, strict=True):
        values = packing.pack(pairs, np.array(ride, dtype=np.int64).ravel())
        total = total + packing.ring.elements(values)
    return packing.ring.integers(total)


@given(st.data())
def test_sums_within_the_bounds_are_read_back(data: st.DataObject) -> None:
    gradient = data.draw(st.integers(0, 2**50))
    hessian = data.draw(st.integers(0, 2**50))
    packing = Packing.of_bounds(gradient, hessian)
    slots, count = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 5))
    sites = []
    for _ in range(count):
        g = data.draw(st.lists(st.integers(-gradient, gradient), min_size=slots, max_size=slots))
        h = data.draw(st.lists(st.integers(0, hessian), min_size=slots, max_size=slots))
        sites.append(np.array([g, h], dtype=np.int64).T // count)
        sites[-1][:, 0] = np.array(g) // count
    whole = st.integers(-(2**62) // count, 2**62 // count)
    rides = [[data.draw(whole), data.draw(whole)] for _ in range(count)]
    pairs, found = packing.unpack(summed(packing, sites, rides), rides=2)
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
    assert Packing.of_bounds(gradient, hessian) == expected


def test_the_extremes_of_a_packing_are_read_back() -> None:
    for gradient, hessian in ((2**15 - 1, 2**16 - 1), (2**31 - 1, 2**32 - 1), (2**60, 2**60)):
        packing = Packing.of_bounds(gradient, hessian)
        edge = np.array(
            [[gradient, hessian], [-gradient, hessian], [-gradient, 0], [gradient, 0], [0, 0]]
        )
        pairs, _ = packing.unpack(summed(packing, [edge], [[]]))
        assert np.array_equal(pairs, edge)


def test_a_packed_pair_takes_a_quarter_half_or_all_of_sixteen_bytes() -> None:
    for packing, size in ((Packing(bits=32, hessian_bits=9), 4), (Packing(hessian_bits=9), 8)):
        assert packing.size(100) * packing.ring.bytes == 100 * size
    assert WIDE.size(100, rides=2) * WIDE.ring.bytes == 1_600 + 16
    assert Packing(bits=32, hessian_bits=9).size(0, rides=2) == 8


def test_other_widths_cannot_be_asked_for() -> None:
    for fields in ({"bits": 16}, {"hessian_bits": 63}, {"hessian_bits": -1}):
        with pytest.raises(ValidationError):
            Packing(**fields)  # type: ignore[arg-type]


def test_counts_take_half_the_bytes_while_all_rows_fit() -> None:
    assert counts_ring(2**31 - 1) == RING_32
    assert counts_ring(2**31) == RING_64

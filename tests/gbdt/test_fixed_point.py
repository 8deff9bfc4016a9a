from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fed_audience.gbdt.fixed_point import gradient_scale

CAPS = st.integers(1, 2**34)


@given(cap=CAPS)
def test_scale_is_a_power_of_two_of_at_least_12_bits(cap: int) -> None:
    scale = gradient_scale(cap)
    assert scale & (scale - 1) == 0
    assert 2**12 <= scale <= 2**16


@given(cap=CAPS)
def test_no_sum_at_the_row_cap_wraps_or_leaves_the_exact_floats(cap: int) -> None:
    assert cap * gradient_scale(cap) < 2**53


@given(cap=st.integers(1, 2**19))
def test_up_to_half_a_million_rows_a_pair_of_sums_fits_one_ring_element(cap: int) -> None:
    """Hessians are at most a quarter of a weight, or a half with two classes of a softmax."""
    scale = gradient_scale(cap)
    gradients, hessians = 2 * cap * scale + 1, cap * (scale // 2) + 1
    assert gradients * hessians <= 2**64


def test_known_scales() -> None:
    scales = [gradient_scale(2**bits) for bits in (10, 15, 17, 19, 20, 27, 34)]
    assert scales == [2**16, 2**16, 2**14, 2**12, 2**16, 2**16, 2**16]

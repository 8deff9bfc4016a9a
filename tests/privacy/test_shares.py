from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fed_audience.privacy.refusals import SecureSumError
from fed_audience.privacy.shares import LIMBS, PRIME, _product, join_seed, split_seeds


@settings(max_examples=20)
@given(st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=4), st.data())
def test_any_threshold_of_shares_gives_the_seed_back(
    seeds: list[bytes], data: st.DataObject
) -> None:
    parties = data.draw(st.integers(3, 30))
    threshold = 2 * parties // 3 + 1
    shares = split_seeds(seeds, threshold=threshold, parties=parties)
    chosen = data.draw(st.permutations(range(parties)))[:threshold]
    for place, seed in enumerate(seeds):
        held = {party: shares[party, place] for party in chosen}
        assert join_seed(held, threshold=threshold) == seed


@pytest.mark.parametrize("seed", [bytes(32), b"\xff" * 32])
def test_extreme_seeds_are_given_back(seed: bytes) -> None:
    shares = split_seeds([seed], threshold=334, parties=500)
    held = {party: shares[party, 0] for party in range(100, 434)}
    assert join_seed(held, threshold=334) == seed


def test_too_few_shares_are_refused() -> None:
    shares = split_seeds([os.urandom(32)], threshold=7, parties=10)
    with pytest.raises(SecureSumError) as caught:
        join_seed({party: shares[party, 0] for party in range(6)}, threshold=7)
    assert caught.value.reason == "bad_shares"


def test_one_share_fewer_says_nothing_of_the_seed() -> None:
    """The polynomial has the full degree: one point fewer gives another value at zero."""
    seed = os.urandom(32)
    for _ in range(20):
        shares = split_seeds([seed], threshold=3, parties=5)[:, 0]
        try:
            assert join_seed({0: shares[0], 1: shares[1]}, threshold=2) != seed
        except SecureSumError as error:
            assert error.reason == "bad_shares"  # noqa: PT017 - either outcome is right


def test_malformed_shares_are_refused() -> None:
    shares = split_seeds([os.urandom(32)], threshold=3, parties=5)
    held = {party: shares[party, 0] for party in range(3)}
    for wrong in (held[0][:-1], np.full(LIMBS, PRIME, dtype=np.uint32)):
        with pytest.raises(SecureSumError):
            join_seed({**held, 0: wrong}, threshold=3)


def test_shares_that_contradict_each_other_are_refused() -> None:
    """Random shares lie on a polynomial too; its limbs are too large for a seed."""
    large = np.full(LIMBS, PRIME - 1, dtype=np.uint32)
    with pytest.raises(SecureSumError, match="contradict"):
        join_seed(dict.fromkeys(range(3), large), threshold=3)


def test_two_sharings_of_one_seed_differ() -> None:
    seed = os.urandom(32)
    one, two = (split_seeds([seed], threshold=3, parties=5) for _ in range(2))
    assert not np.array_equal(one, two)


@given(st.integers(0, 2**32 - 1))
def test_the_matrix_product_is_that_of_integers(seed: int) -> None:
    rng = np.random.default_rng(seed)
    left = rng.integers(0, PRIME, (3, 5))
    right = rng.integers(0, PRIME, (5, 4))
    left[0], right[:, 0] = PRIME - 1, PRIME - 1
    expected = [
        [sum(int(left[i, k]) * int(right[k, j]) for k in range(5)) % PRIME for j in range(4)]
        for i in range(3)
    ]
    assert _product(left, right).tolist() == expected

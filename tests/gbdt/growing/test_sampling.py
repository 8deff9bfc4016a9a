from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fed_audience.errors import DataError
from fed_audience.gbdt.growing.sampling import (
    bagged_rows,
    chosen,
    drawn_features,
    keyed,
    row_hashes,
    validation_rows,
)

KEYS = pa.array([f"customer-{i}" for i in range(20_000)])
HASHES = row_hashes(KEYS)


def test_hashes_are_the_same_on_every_machine() -> None:
    assert row_hashes(pa.array(["", "a", "customer-1", "ü"])).tolist() == [
        0xEFD01F60BA992926,
        0x82A2A958A9BECE5B,
        0xADF92B537B08CDDA,
        0x9A8FA3AAAA09FD21,
    ]


def test_a_key_hashes_alike_as_number_text_slice_or_chunk() -> None:
    numbers = row_hashes(pa.array([5, -17, 10**12]))
    texts = ["5", "-17", "1000000000000"]
    assert numbers.tolist() == row_hashes(pa.array(texts)).tolist()
    assert numbers.tolist() == row_hashes(pa.array(["x", *texts, "y"]).slice(1, 3)).tolist()
    chunks = pa.chunked_array([texts[:1], texts[1:]])
    assert numbers.tolist() == row_hashes(chunks).tolist()
    assert numbers.tolist() == row_hashes(pa.array(texts, pa.large_string())).tolist()
    assert row_hashes(pa.array([], pa.string())).tolist() == []


def test_different_keys_rarely_collide() -> None:
    assert len(np.unique(HASHES)) == len(HASHES)
    assert len(np.unique(HASHES >> np.uint64(32))) > 19_900


def test_a_row_without_key_is_refused() -> None:
    with pytest.raises(DataError, match="a row has no key"):
        row_hashes(pa.array(["a", None]))


def test_seed_tree_and_use_draw_independently() -> None:
    contexts = [(0, "validation", 0), (1, "validation", 0), (0, "bagging", 0), (0, "bagging", 1)]
    draws = [
        chosen(keyed(HASHES, seed=seed, use=use, tree=tree), 0.5) for seed, use, tree in contexts
    ]
    for i, one in enumerate(draws):
        for other in draws[i + 1 :]:
            assert abs((one == other).mean() - 0.5) < 0.02


@given(fraction=st.floats(0, 1))
def test_share_of_the_draw_is_its_fraction(fraction: float) -> None:
    share = chosen(keyed(HASHES, seed=3, use="validation"), fraction).mean()
    assert abs(share - fraction) < 0.02


def test_nothing_and_everything_can_be_drawn() -> None:
    assert not chosen(HASHES, 0.0).any()
    assert chosen(HASHES, 1.0).all()


def test_a_row_keeps_its_part_wherever_it_is_stored() -> None:
    order = np.random.default_rng(0).permutation(len(KEYS))
    whole = validation_rows(HASHES, seed=7, fraction=0.2)
    moved = validation_rows(row_hashes(KEYS.take(order)), seed=7, fraction=0.2)
    assert np.array_equal(whole[order], moved)


def test_a_bag_is_redrawn_for_every_tree_and_holds_its_share() -> None:
    bags = [bagged_rows(HASHES, 7, tree, 0.3) for tree in range(20)]
    assert all(abs(bag.mean() - 0.3) < 0.02 for bag in bags)
    assert abs((bags[0] & bags[1]).mean() - 0.09) < 0.01
    assert np.sum(bags, axis=0).max() < 20
    assert bagged_rows(HASHES, 7, 3, 1.0).all()
    assert abs((bags[3] == bagged_rows(HASHES, 8, 3, 0.3)).mean() - 0.58) < 0.02


def test_a_bag_is_no_function_of_the_validation_rows() -> None:
    held = validation_rows(HASHES, seed=7, fraction=0.3)
    assert abs((held & bagged_rows(HASHES, 7, 0, 0.3)).mean() - 0.09) < 0.01


NAMES = [f"feature_{i}" for i in range(40)]


@pytest.mark.parametrize(
    ("fraction", "count"),
    [(1.0, 40), (0.5, 20), (0.01, 1), (0.0125, 1), (0.0376, 2), (0.3125, 13), (0.99, 40)],
)
def test_the_number_of_features_drawn_is_the_nearest_and_never_none(
    fraction: float, count: int
) -> None:
    assert drawn_features(NAMES, fraction, 3, 5).sum() == count


def test_features_are_drawn_by_name_anew_for_every_tree() -> None:
    draws = [drawn_features(NAMES, 0.25, 3, tree) for tree in range(200)]
    shares = np.mean(draws, axis=0)
    assert 0.1 < shares.min() < shares.max() < 0.4
    assert not np.array_equal(draws[0], drawn_features(NAMES, 0.25, 4, 0))
    order = np.random.default_rng(0).permutation(40)
    moved = drawn_features([NAMES[i] for i in order], 0.25, 3, 0)
    assert np.array_equal(draws[0][order], moved)


def test_the_draw_of_a_tree_is_known() -> None:
    drawn = drawn_features(["age", "country", "orders", "recency", "spend"], 0.5, 0, 0)
    assert drawn.tolist() == [False, False, True, True, True]

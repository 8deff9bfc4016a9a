from __future__ import annotations

import hashlib
import hmac

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fed_audience.audiences.tie_breaking import id_texts, tie_hash, top_customers
from fed_audience.errors import DataError

KEY = b"audience:winter"


def chosen_ids(scores: list[float], ids: list[str], count: int, key: bytes = KEY) -> set[str]:
    positions = top_customers(np.array(scores), pa.array(ids), count, key)
    return {ids[position] for position in positions}


def brute_force(scores: list[float], ids: list[str], count: int) -> set[str]:
    order = sorted(zip(scores, ids, strict=True), key=lambda p: (-p[0], tie_hash(p[1], KEY), p[1]))
    return {name for _, name in order[:count]}


tied_scores = st.lists(st.sampled_from([0.0, 0.1, 0.1 + 2e-17, 0.5, 1.0]), max_size=40)


def test_the_hash_is_hmac_sha256_of_the_id() -> None:
    assert tie_hash("cust-7", KEY) == hmac.new(KEY, b"cust-7", hashlib.sha256).digest()


@given(tied_scores, st.integers(0, 40))
def test_it_equals_a_full_sort_by_score_then_hash(scores: list[float], count: int) -> None:
    count = min(count, len(scores))
    ids = [f"c{number}" for number in range(len(scores))]
    assert chosen_ids(scores, ids, count) == brute_force(scores, ids, count)


@given(tied_scores, st.integers(0, 40), st.randoms(use_true_random=False))
def test_who_is_chosen_does_not_depend_on_the_order_of_rows(
    scores: list[float], count: int, random: object
) -> None:
    count = min(count, len(scores))
    ids = [f"c{number}" for number in range(len(scores))]
    shuffled = list(zip(scores, ids, strict=True))
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    other_scores, other_ids = [s for s, _ in shuffled], [i for _, i in shuffled]
    assert chosen_ids(other_scores, other_ids, count) == chosen_ids(scores, ids, count)


@given(tied_scores, st.integers(1, 40))
def test_a_smaller_audience_is_part_of_a_larger_one(scores: list[float], count: int) -> None:
    count = min(count, len(scores))
    ids = [f"c{number}" for number in range(len(scores))]
    if count:
        assert chosen_ids(scores, ids, count - 1) < chosen_ids(scores, ids, count)


def test_another_key_breaks_ties_another_way() -> None:
    ids = [f"c{number}" for number in range(100)]
    scores = [0.5] * 100
    assert chosen_ids(scores, ids, 50) != chosen_ids(scores, ids, 50, key=b"another audience")


def test_the_best_come_first() -> None:
    positions = top_customers(np.array([0.1, 0.9, 0.5, 0.9]), pa.array(list("abcd")), 3, KEY)
    assert list(positions[2:]) == [2]
    assert set(positions[:2]) == {1, 3}


def test_chunked_ids_are_taken_as_they_come_from_a_query() -> None:
    ids = pa.chunked_array([["a"], ["b", "c"]])
    assert list(top_customers(np.array([0.2, 0.3, 0.1]), ids, 1, KEY)) == [1]


@pytest.mark.parametrize(
    ("scores", "ids", "count", "says"),
    [
        ([0.1, float("nan")], ["a", "b"], 1, "1 of 2 are not"),
        ([0.1, float("inf")], ["a", "b"], 1, "1 of 2 are not"),
        ([0.1], ["a", "b"], 1, "1 scores, 2 ids"),
        ([0.1, 0.2], ["a", None], 1, "1 are"),
        ([0.1], ["a"], 2, "0 to 1 eligible customers"),
        ([0.1], ["a"], -1, "value: -1"),
    ],
)
def test_bad_input_is_refused_in_one_line(
    scores: list[float], ids: list[str | None], count: int, says: str
) -> None:
    with pytest.raises(DataError) as refusal:
        top_customers(np.array(scores), pa.array(ids, pa.string()), count, KEY)
    assert says in str(refusal.value)


def test_a_null_id_has_no_text() -> None:
    with pytest.raises(DataError, match="must not be null; value: 1 are"):
        id_texts(pa.array(["a", None]))

"""Categories: hashed under a key, told apart only when common, the same for any partition."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import math
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fed_audience.errors import DataError
from fed_audience.gbdt.bins import CategoryBins
from fed_audience.gbdt.bins.categories import (
    BUCKETS,
    bucket_counts,
    category_bins,
    category_hashes,
    category_text,
    prefix_of,
    refined_counts,
    survivors,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

KEY = b"a key that the sites share"


def prefixes(values: Any) -> list[int]:
    return [int(prefix) for prefix in category_hashes(values, KEY)[0]]


def bins_of(*sites: Sequence[str | None], max_bin: int = 255, floor: int = 20) -> CategoryBins:
    """The three rounds over these sites, whose counts are summed."""
    hashed = [category_hashes(values, KEY) for values in sites]
    kept = survivors(np.sum([bucket_counts(*pair) for pair in hashed], axis=0), floor)
    refined = np.sum([refined_counts(*pair, kept) for pair in hashed], axis=0)
    return category_bins(kept, refined, max_bin=max_bin, floor=floor)


def test_a_prefix_is_the_first_24_bits_of_the_keyed_hash() -> None:
    digest = hmac.new(KEY, "Köln".encode(), hashlib.sha256).digest()
    assert prefixes(["Köln"]) == [int.from_bytes(digest[:3], "big")]
    # RFC 4231, test case 2
    assert prefix_of("what do ya want for nothing?", b"Jefe") == 0x5BDCC1


def test_composed_and_decomposed_text_is_one_category() -> None:
    assert prefixes(["K\u00f6ln"]) == prefixes(["Ko\u0308ln"])
    assert prefixes(["K\u00f6ln"]) != prefixes(["Koln"])


def test_another_key_gives_other_hashes() -> None:
    assert prefixes(["a", "b"]) != category_hashes(["a", "b"], b"another")[0].tolist()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("5", "5"),
        ("", ""),
        (" DE ", " DE "),
        (True, "true"),
        (False, "false"),
        (5, "5"),
        (5.0, "5"),
        (-0.0, "0"),
        (1e20, "100000000000000000000"),
        (0.1, "0.1"),
        (math.inf, "inf"),
        (Decimal("5.00"), "5"),
        (Decimal("0.10"), "0.1"),
        (Decimal("1E+3"), "1000"),
        (Decimal("1E-7"), "0.0000001"),
        (dt.date(2026, 10, 1), "2026-10-01"),
        (dt.datetime(2026, 10, 1, 12, 30), "2026-10-01T12:30:00"),  # noqa: DTZ001 - UTC by contract
        (dt.time(12, 30), "12:30:00"),
        (None, None),
        (math.nan, None),
        (Decimal("NaN"), None),
    ],
)
def test_a_value_has_one_text_in_every_warehouse(value: object, text: str | None) -> None:
    assert category_text(value) == text


@pytest.mark.parametrize(
    "column",
    [
        ["5", None, "7", "5"],
        np.array(["5", None, "7", "5"], dtype=object),
        pa.array(["5", None, "7", "5"]),
        pa.array(["5", None, "7", "5"], type=pa.large_string()),
        pa.array(["5", None, "7", "5"]).dictionary_encode(),
        pa.array([5, None, 7, 5]),
        pa.array([5, None, 7, 5], type=pa.int8()),
        pa.array([5.0, None, 7.0, 5.0]),
        pa.array([5.0, math.nan, 7.0, 5.0]),
        pa.array([Decimal("5.0"), None, Decimal("7.0"), Decimal("5.0")]),
        pa.chunked_array([["5", None], [], ["7", "5"]]),
        pa.chunked_array(
            [
                pa.array(["5", None]).dictionary_encode(),
                pa.array(["7", "5"]).dictionary_encode(),
            ]
        ),
        pa.DictionaryArray.from_arrays(pa.array([0, 1, 2, 0]), pa.array(["5", None, "7"])),
    ],
    ids=lambda column: f"{type(column).__name__}-{getattr(column, 'type', '')}",
)
def test_the_type_of_the_column_does_not_matter(column: Any) -> None:
    hashed, missing = category_hashes(column, KEY)
    assert missing.tolist() == [False, True, False, False]
    assert hashed.dtype == np.uint32
    assert hashed[~missing].tolist() == [
        prefix_of("5", KEY),
        prefix_of("7", KEY),
        prefix_of("5", KEY),
    ]


@pytest.mark.parametrize("column", [[], pa.array([], pa.string()), pa.chunked_array([], pa.utf8())])
def test_no_rows_give_no_hashes(column: Any) -> None:
    hashed, missing = category_hashes(column, KEY)
    assert hashed.shape == missing.shape == (0,)


def test_a_column_of_nulls_is_all_missing() -> None:
    assert category_hashes(pa.nulls(3), KEY)[1].all()


def test_what_is_not_a_category_is_refused_without_showing_it() -> None:
    with pytest.raises(DataError, match="not categories") as caught:
        category_hashes(pa.array([["secret"]]), KEY)
    assert "secret" not in str(caught.value)
    with pytest.raises(DataError, match="not categories"):
        category_hashes(pa.array([b"secret"]), KEY)
    with pytest.raises(DataError, match="mixes"):
        category_hashes(["a", 5], KEY)
    with pytest.raises(DataError, match="key"):
        category_hashes(["a"], b"")


def test_common_categories_get_codes_by_count_and_rare_ones_none() -> None:
    values = ["c"] * 30 + ["a"] * 50 + ["b"] * 40 + ["rare"] * 19 + [None] * 99
    assert bins_of(values).prefixes == tuple(prefixes(["a", "b", "c"]))


def test_the_floor_itself_is_enough() -> None:
    assert bins_of(["a"] * 20).size == 1
    assert bins_of(["a"] * 19).size == 0
    assert bins_of(["a"] * 3, floor=3).size == 1


def test_equal_counts_are_ordered_by_prefix() -> None:
    names = [f"city {i}" for i in range(12)]
    assert bins_of([name for name in names for _ in range(25)]).prefixes == tuple(
        sorted(prefixes(names))
    )


def test_a_category_rare_at_each_site_may_be_common_in_all() -> None:
    assert bins_of(["a"] * 8, ["a"] * 8, ["a"] * 8).size == 1


def test_rare_categories_of_one_bucket_do_not_pass_together() -> None:
    by_bucket: dict[int, str] = {}
    for i in range(5000):
        name = f"category {i}"
        other = by_bucket.setdefault(prefix_of(name, KEY) >> 8, name)
        if other != name:
            break
    assert prefix_of(name, KEY) != prefix_of(other, KEY)
    values = [name] * 12 + [other] * 12
    assert len(survivors(bucket_counts(*category_hashes(values, KEY)))) == 1
    assert bins_of(values).size == 0


@pytest.mark.parametrize("max_bin", [2, 3, 16, 255])
def test_there_are_at_most_max_bin_less_two(max_bin: int) -> None:
    values = [f"c{i}" for i in range(300) for _ in range(20 + i)]
    bins = bins_of(values, max_bin=max_bin)
    assert bins.size == max_bin - 2
    assert bins.prefixes == tuple(prefixes([f"c{299 - i}" for i in range(max_bin - 2)]))


@given(
    st.lists(st.one_of(st.none(), st.sampled_from("abcdefgh")), max_size=200),
    st.lists(st.integers(0, 2), min_size=200, max_size=200),
)
def test_categories_do_not_depend_on_the_partition(
    values: list[str | None], homes: list[int]
) -> None:
    sites = [[v for v, home in zip(values, homes, strict=False) if home == k] for k in range(3)]
    assert bins_of(*sites, floor=5) == bins_of(values[::-1], floor=5)


def test_buckets_count_all_but_the_missing() -> None:
    counts = bucket_counts(*category_hashes(["a", "a", None, "b"], KEY))
    assert counts.shape == (BUCKETS,)
    assert counts.dtype == np.int64
    assert counts.sum() == 3
    assert counts[prefix_of("a", KEY) >> 8] == 2


def test_no_survivor_means_no_category() -> None:
    nobody = survivors(np.zeros(BUCKETS, dtype=np.int64))
    refined = refined_counts(*category_hashes(["a"], KEY), nobody)
    assert refined.shape == (0,)
    assert category_bins(nobody, refined, max_bin=255) == CategoryBins(())


def test_counts_of_the_wrong_size_are_refused() -> None:
    with pytest.raises(DataError, match="wrong size"):
        survivors(np.zeros(7, dtype=np.int64))
    with pytest.raises(DataError, match="wrong size"):
        category_bins(np.array([1], np.uint32), np.zeros(7, dtype=np.int64), max_bin=255)

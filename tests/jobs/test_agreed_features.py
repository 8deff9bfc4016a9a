from __future__ import annotations

import pyarrow as pa
import pytest

from fed_audience.errors import DataError
from fed_audience.gbdt.bins import Feature
from fed_audience.jobs.rows import SiteRows, agreed_features


def rows(site: str, **columns: pa.Array) -> SiteRows:  # type: ignore[type-arg]
    return SiteRows(site, pa.table({"customer_id": ["a", "b"], **columns}), withdrawn=0)


NUMBERS = pa.array([1.0, 2.0])
WORDS = pa.array(["x", "y"])
NO_WORDS = pa.nulls(2, pa.string())
NO_NUMBERS = pa.nulls(2, pa.float64())


def test_features_of_all_sites_are_sorted_by_name() -> None:
    found = agreed_features({"a": rows("a", f_b=WORDS), "b": rows("b", f_a=NUMBERS)})
    assert found == (Feature("f_a"), Feature("f_b", categorical=True))


def test_only_columns_with_the_prefix_are_features_and_exclusions_hold() -> None:
    site = rows("a", f_a=NUMBERS, f_b=NUMBERS, label=NUMBERS)
    assert agreed_features({"a": site}, excluded=["f_b"]) == (Feature("f_a"),)


@pytest.mark.parametrize("empty", [NO_NUMBERS, NO_WORDS])
def test_an_empty_column_says_nothing_about_its_type(empty: pa.Array) -> None:  # type: ignore[type-arg]
    sites = {"a": rows("a", f_a=empty), "b": rows("b", f_a=WORDS)}
    assert agreed_features(sites) == (Feature("f_a", categorical=True),)


def test_a_column_that_is_empty_everywhere_keeps_its_declared_type() -> None:
    sites = {"a": rows("a", f_a=NO_WORDS), "b": rows("b", f_a=NO_WORDS)}
    assert agreed_features(sites) == (Feature("f_a", categorical=True),)


def test_text_at_one_brand_and_numbers_at_another_are_refused() -> None:
    sites = {"a": rows("a", f_a=WORDS), "b": rows("b", f_a=NUMBERS)}
    with pytest.raises(DataError, match="a: text, b: number"):
        agreed_features(sites)

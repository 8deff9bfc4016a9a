from __future__ import annotations

from datetime import datetime

import pytest

from fed_audience.report import formatting
from fed_audience.report.data import Estimate


def test_counts_have_thousands_and_a_real_minus() -> None:
    assert formatting.count(1_234_567) == "1,234,567"
    assert formatting.count(-12) == "\u221212"
    assert formatting.count(39.6) == "40"


@pytest.mark.parametrize(
    ("share", "text"), [(0.125, "12.5%"), (0.05, "5%"), (1.0, "100%"), (0.0, "0%"), (0.2, "20%")]
)
def test_percentages_drop_trailing_zeros_only(share: float, text: str) -> None:
    assert formatting.percent(share) == text


def test_whole_percentages_keep_their_zeros() -> None:
    assert formatting.percent(0.2, 0) == "20%"


@pytest.mark.parametrize(
    ("number", "text"),
    [(0.031, "+0.031"), (-0.004, "\u22120.004"), (0.0, "0.000"), (-0.0001, "0.000")],
)
def test_a_difference_shows_its_sign_unless_it_is_nothing(number: float, text: str) -> None:
    assert formatting.signed(number) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (1_000, "1.0 kB"),
        (58_240, "58.2 kB"),
        (3_400_000, "3.4 MB"),
        (7_100_000_000, "7.1 GB"),
        (2_500_000_000_000_000, "2500.0 TB"),
    ],
)
def test_sizes_are_in_powers_of_a_thousand(number: int, text: str) -> None:
    assert formatting.size(number) == text


def test_intervals_and_lifts() -> None:
    estimate = Estimate(0.01, -0.002, 0.022)
    assert formatting.span(Estimate(0.8, 0.79, 0.81)) == "0.790 to 0.810"
    assert formatting.signed_span(estimate) == "\u22120.002 to +0.022"
    assert formatting.times(3.24) == "3.2\u00d7"


def test_what_is_not_known_is_a_dash_not_a_number() -> None:
    for write in (
        formatting.count,
        formatting.percent,
        formatting.decimal,
        formatting.signed,
        formatting.times,
        formatting.span,
        formatting.signed_span,
        formatting.size,
        formatting.moment,
    ):
        assert write(None) == "\u2013"
    for write_number in (formatting.count, formatting.percent, formatting.signed, formatting.times):
        assert write_number(float("nan")) == "\u2013"
        assert write_number(float("inf")) == "\u2013"
    assert formatting.span(Estimate(0.8)) == "\u2013"
    assert formatting.signed_span(Estimate(0.8)) == "\u2013"


def test_times_are_utc_in_words() -> None:
    assert formatting.moment(datetime(2026, 10, 1, 6, 5)) == "1 October 2026, 06:05 UTC"  # noqa: DTZ001 - the page's times are naive UTC


@pytest.mark.parametrize(
    ("names", "text"),
    [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")],
)
def test_names_join_as_in_a_sentence(names: list[str], text: str) -> None:
    assert formatting.listing(names) == text


def test_numbers_with_their_nouns() -> None:
    assert formatting.plural(1, "site") == "1 site"
    assert formatting.plural(1_200, "site") == "1,200 sites"
    assert formatting.in_words(3) == "Three"
    assert formatting.in_words(10) == "10"


@pytest.mark.parametrize(
    ("identifier", "masked"),
    [
        ("cust-0048213", "cu\u2022\u2022\u202213"),
        ("abcdef", "a\u2022\u2022\u2022"),
        ("", "\u2022\u2022\u2022"),
    ],
)
def test_a_masked_person_cannot_be_read_back(identifier: str, masked: str) -> None:
    assert formatting.mask(identifier) == masked
    assert formatting.mask(masked) == masked

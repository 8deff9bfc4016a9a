"""Which rows are positive, from a label as people write it."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from fed_audience.errors import DataError
from fed_audience.simulate.labels import read_labels


def labels(values: list[Any], positive: str | None = None) -> tuple[list[int], str, list[str]]:
    found, chosen, notes = read_labels(pa.chunked_array([pa.array(values)]), "y", positive)
    return found.tolist(), chosen, notes


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["no", "yes"], "yes"),
        (["FALSE", "TRUE"], "TRUE"),
        (["N", "Y"], "Y"),
        ([0.0, 1.0], "1"),
        ([1.0, 2.0], "2"),
        ([-1.0, 1.0], "1"),
    ],
)
def test_the_positive_one_of_two_is_recognised(values: list[Any], expected: str) -> None:
    found, chosen, notes = labels(values)
    assert (found, chosen) == ([0, 1], expected)
    assert notes == [f"positive label: y = '{expected}' (choose with --positive)"]


@pytest.mark.parametrize("positive", [">50K", " >50K ", ">50K.", ">50k"])
def test_a_trailing_dot_is_the_same_label(positive: str) -> None:
    found, chosen, notes = labels([">50K", "<=50K", ">50K.", "<=50K."], positive)
    assert (found, chosen) == ([1, 0, 1, 0], ">50K")
    assert notes == [
        "label 'y': '<=50K.' read as '<=50K'",
        "label 'y': '>50K.' read as '>50K'",
    ]


def test_one_of_many_against_the_rest() -> None:
    assert labels(["a", "b", "c", "b"], "b")[0] == [0, 1, 0, 1]


def test_numbers_are_compared_as_numbers() -> None:
    assert labels([0.0, 1.0], "1.0")[0] == [0, 1]
    assert labels([0.0, 1.0], "True")[0] == [0, 1]
    assert labels([0.0, 1.0], "false")[0] == [1, 0]


def test_missing_labels_are_marked_and_counted() -> None:
    found, _, notes = labels([0.0, None, 1.0])
    assert found == [0, -1, 1]
    assert notes[-1] == "1 rows without a label are left out"


@pytest.mark.parametrize(
    ("values", "positive", "complaint"),
    [
        (["no", "no"], None, "one class only; value: no"),
        ([None, None], None, "one class only; value: all missing"),
        (["a", "b", "c"], None, "more than two classes; value: a, b, c"),
        (["a", "b"], None, "which value of column 'y' is the positive one"),
        (["a", "b"], "q", "does not occur in column 'y'; value: q; allowed: a, b"),
    ],
)
def test_what_cannot_be_decided_is_asked(
    values: list[Any], positive: str | None, complaint: str
) -> None:
    with pytest.raises(DataError, match=complaint):
        labels(values, positive)

"""The content hash sees every value, and nothing else."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fed_audience.jobs.training_content import TrainedOn, content_sha256

DAY = datetime(2026, 6, 1)  # noqa: DTZ001 - naive and UTC, as everywhere
ROWS: dict[str, list[Any]] = {
    "customer_id": [9007199254740993, 9007199254740992, 3],
    "f_spend": [1.5, None, -0.0],
    "f_visits": [1, 2, None],
    "f_channel": ["email", None, ""],
    "f_premium": [True, False, None],
    "f_amount": [Decimal("1.10"), Decimal("2.20"), None],
    "cutoff_at": [DAY, DAY, None],
    "f_day": [date(2026, 1, 1), None, date(2026, 1, 2)],
    "tags": [["a"], [], None],
    "label": [0, 1, 1],
}


def hashed(rows: dict[str, list[Any]], **more: list[Any]) -> str:
    return content_sha256(pa.table({**rows, **more}), "customer_id")


def changed(name: str, row: int, value: Any) -> str:
    values = [*ROWS[name]]
    values[row] = value
    return hashed({**ROWS, name: values})


def test_the_order_of_rows_and_columns_and_the_chunks_do_not_matter() -> None:
    table = pa.table(ROWS)
    parts = pa.concat_tables([table.slice(1), table.slice(0, 1)])
    shuffled = parts.select(sorted(ROWS, reverse=True))
    assert content_sha256(shuffled, "customer_id") == hashed(ROWS)


def test_build_and_instant_are_no_content() -> None:
    stamped = hashed(ROWS, _fed_build_id=["b1"] * 3, _fed_as_of=[DAY] * 3)
    assert stamped == hashed(ROWS, _fed_build_id=["b2"] * 3) == hashed(ROWS)


@pytest.mark.parametrize(
    ("name", "row", "value"),
    [
        ("customer_id", 0, 9007199254740994),
        ("customer_id", 0, 9007199254740992),
        ("f_spend", 0, 1.5000000000000002),
        ("f_spend", 1, 0.0),
        ("f_visits", 2, 0),
        ("f_channel", 1, ""),
        ("f_channel", 0, "Email"),
        ("f_premium", 2, False),
        ("f_amount", 0, Decimal("1.11")),
        ("cutoff_at", 0, datetime(2026, 6, 1, 0, 0, 1)),  # noqa: DTZ001 - as above
        ("f_day", 1, date(1970, 1, 1)),
        ("tags", 0, ["b"]),
        ("label", 0, 1),
    ],
)
def test_every_value_counts(name: str, row: int, value: Any) -> None:
    assert changed(name, row, value) != hashed(ROWS)


def test_values_count_as_the_learner_reads_them() -> None:
    assert changed("f_spend", 2, 0.0) == changed("f_spend", 2, -0.0)
    assert changed("f_spend", 1, float("nan")) == hashed(ROWS)
    halves = pa.table(ROWS).set_column(2, "f_visits", pa.array([1.0, 2.0, None]))
    assert content_sha256(halves, "customer_id") == hashed(ROWS)


def test_two_values_that_change_places_are_other_content() -> None:
    swapped = [ROWS["f_spend"][1], ROWS["f_spend"][0], ROWS["f_spend"][2]]
    assert hashed({**ROWS, "f_spend": swapped}) != hashed(ROWS)
    names = {"f_spend": ROWS["f_visits"], "f_visits": ROWS["f_spend"]}
    assert hashed({**ROWS, **names}) != hashed(ROWS)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=8))
def test_how_often_a_row_stands_there_counts(ids: list[int]) -> None:
    table = pa.table({"customer_id": ids})
    doubled = pa.table({"customer_id": [*ids, ids[0]]})
    assert content_sha256(table, "customer_id") != content_sha256(doubled, "customer_id")


def test_a_table_without_rows_has_a_hash_too() -> None:
    empty = pa.table(ROWS).slice(0, 0)
    assert content_sha256(empty, "customer_id") != hashed(ROWS)


def test_changes_are_named_in_words() -> None:
    one = TrainedOn("c", "s", "m", None, ("ant", "bee"))
    assert TrainedOn.from_json(one.to_json()) == one
    other = TrainedOn("d", "s", "m", "k", ("ant", "bee"))
    assert other.changes(one) == ("rows, features or consent", "the contract")
    assert one.changes(one) == ()


@pytest.mark.parametrize("text", [None, "", "{}", "[]", '{"content": "c"}'])
def test_what_cannot_be_read_is_no_record(text: str | None) -> None:
    assert TrainedOn.from_json(text) is None

"""Scores and members are replaced as a whole, or the old ones stay."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime

import pyarrow as pa
import pytest

from fed_audience.errors import DataError
from fed_audience.warehouse.protocol import Warehouse
from fed_audience.warehouse.scores import (
    ScoreStamp,
    erase_members,
    erase_scores,
    write_audience,
    write_scores,
)

NOW = datetime(2026, 6, 1, 12)  # noqa: DTZ001 - naive and UTC, as everywhere
FIRST = ScoreStamp("repurchase", "v1", is_rank=False, scored_at=NOW)
SECOND = ScoreStamp("repurchase", "v2", is_rank=True, scored_at=NOW)
OTHER = ScoreStamp("high_value", "v1", is_rank=False, scored_at=NOW)


def scored(**scores: float | None) -> pa.Table:
    numbers = pa.array(scores.values(), pa.float64())
    return pa.table({"customer_id": pa.array(scores), "score": numbers})


def held(warehouse: Warehouse, model: str = "repurchase") -> list[tuple[object, ...]]:
    rows = warehouse.query(
        "select customer_id, score, model_version, is_rank from fed_audience.scores"
        " where model_name = ? order by customer_id",
        [model],
    ).to_pylist()
    return [tuple(row.values()) for row in rows]


def write_members(warehouse: Warehouse, members: pa.Table, audience: str = "top") -> int:
    return write_audience(
        warehouse,
        members,
        audience=audience,
        channel="email",
        model_name="repurchase",
        model_version="v1",
        selected_at=NOW,
    )


def members(warehouse: Warehouse, audience: str = "top") -> list[str]:
    rows = warehouse.query(
        "select customer_id from fed_audience.audience_members where audience = ? order by 1",
        [audience],
    )
    return [str(row["customer_id"]) for row in rows.to_pylist()]


def test_batches_become_rows_with_their_stamp(brand: Warehouse) -> None:
    assert write_scores(brand, [scored(a=0.5, b=0.25), scored(c=1.0)], FIRST) == 3
    assert held(brand) == [
        ("a", 0.5, "v1", False),
        ("b", 0.25, "v1", False),
        ("c", 1.0, "v1", False),
    ]
    stamps = brand.query("select distinct scored_at from fed_audience.scores").to_pylist()
    assert stamps == [{"scored_at": NOW}]


def test_a_newer_version_replaces_the_older_and_leaves_other_models(brand: Warehouse) -> None:
    write_scores(brand, [scored(a=0.5, b=0.25)], FIRST)
    write_scores(brand, [scored(a=0.1)], OTHER)
    write_scores(brand, [scored(b=0.75)], SECOND)
    assert held(brand) == [("b", 0.75, "v2", True)]
    assert held(brand, "high_value") == [("a", 0.1, "v1", False)]


@pytest.mark.parametrize("bad", [None, math.nan, math.inf])
def test_a_score_that_is_no_number_keeps_the_old_ones(brand: Warehouse, bad: float | None) -> None:
    write_scores(brand, [scored(a=0.5)], FIRST)
    with pytest.raises(DataError, match="1 rows have no customer or no finite score"):
        write_scores(brand, [scored(a=0.1), scored(b=bad, c=0.2)], SECOND)
    assert held(brand) == [("a", 0.5, "v1", False)]


def test_a_row_without_customer_keeps_the_old_ones(brand: Warehouse) -> None:
    rows = pa.table({"customer_id": pa.array([None], pa.string()), "score": [0.5]})
    with pytest.raises(DataError, match="no customer"):
        write_scores(brand, [rows], FIRST)


def test_a_customer_twice_keeps_the_old_ones(brand: Warehouse) -> None:
    write_scores(brand, [scored(a=0.5)], FIRST)
    with pytest.raises(DataError, match="1 customers come more than once"):
        write_scores(brand, [scored(a=0.1), scored(a=0.2)], SECOND)
    assert held(brand) == [("a", 0.5, "v1", False)]


def test_a_source_that_breaks_midway_keeps_the_old_ones(brand: Warehouse) -> None:
    write_scores(brand, [scored(a=0.5)], FIRST)

    def breaking() -> Iterator[pa.Table]:
        yield scored(a=0.1)
        raise KeyError

    with pytest.raises(KeyError):
        write_scores(brand, breaking(), SECOND)
    assert held(brand) == [("a", 0.5, "v1", False)]


def test_scores_may_come_from_a_stream_of_the_same_warehouse(brand: Warehouse) -> None:
    write_scores(brand, [scored(a=0.5, b=0.25)], FIRST)
    stream = brand.stream("select customer_id, score / 2 as score from fed_audience.scores")
    assert write_scores(brand, map(pa.table, stream), SECOND) == 2
    assert [row[1] for row in held(brand)] == [0.25, 0.125]


def test_an_audience_replaces_its_members_only(brand: Warehouse) -> None:
    write_members(brand, scored(a=0.9, b=0.8), "other")
    assert write_members(brand, scored(a=0.9, b=0.8)) == 2
    assert write_members(brand, scored(b=0.8, c=0.7)) == 2
    assert members(brand) == ["b", "c"]
    assert members(brand, "other") == ["a", "b"]


def test_an_audience_may_become_empty(brand: Warehouse) -> None:
    write_members(brand, scored(a=0.9))
    assert write_members(brand, scored(a=0.9).slice(0, 0)) == 0
    assert members(brand) == []


def test_a_member_twice_keeps_the_old_ones(brand: Warehouse) -> None:
    write_members(brand, scored(a=0.9))
    twice = pa.concat_tables([scored(b=0.8), scored(b=0.8)])
    with pytest.raises(DataError, match="more than once"):
        write_members(brand, twice)
    assert members(brand) == ["a"]


def test_who_no_longer_consents_loses_every_score(brand: Warehouse) -> None:
    write_scores(brand, [scored(a=0.5, b=0.25)], FIRST)
    write_scores(brand, [scored(a=0.1, c=0.2)], OTHER)
    assert erase_scores(brand, pa.array(["b", "c", "stranger"])) == 2
    assert [row[0] for row in held(brand) + held(brand, "high_value")] == ["b", "c"]
    assert erase_scores(brand, pa.array(["b", "c"])) == 0


def test_when_nobody_consents_nobody_is_scored(brand: Warehouse) -> None:
    write_scores(brand, [scored(a=0.5)], FIRST)
    assert erase_scores(brand, pa.array([], pa.string())) == 1


def test_members_are_erased_by_channel(brand: Warehouse) -> None:
    write_members(brand, scored(a=0.9, b=0.8))
    assert erase_members(brand, "ads", pa.array(["a"])) == 0
    assert erase_members(brand, "email", pa.array(["a"])) == 1
    assert members(brand) == ["a"]

"""Mean |SHAP| over rows that stay at their sites."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from fed_audience.errors import DataError, FederationError
from fed_audience.federation import (
    Envelope,
    InProcessTransport,
    Manifest,
    TrainingResult,
    evaluate,
    explain,
    train,
)
from fed_audience.federation import messages as m
from fed_audience.federation.messages.payload import trees_to_arrays
from fed_audience.gbdt.explanation import contributions
from fed_audience.gbdt.models.cover import fill_cover
from fed_audience.gbdt.models.model import to_text
from tests.federation.example import KEY, manifest, programs, split, table, with_targets

ROWS = table(900, seed=5)
OWNER = np.arange(900) % 7 % 3


def trained(
    tables: dict[str, pa.Table], **changes: Any
) -> tuple[InProcessTransport, Manifest, TrainingResult]:
    agreed = manifest(list(tables), **changes)
    transport = InProcessTransport(programs(tables))
    return transport, agreed, train(transport, agreed)


def expected(result: TrainingResult, rows: pa.Table, *, cover: str) -> Any:
    """Mean |SHAP| over ``rows``, computed in one place."""
    columns = {name: rows[name] for name in rows.column_names}
    values = result.encoder.to_lightgbm(columns, KEY)
    text = (
        fill_cover(result.model, result.encoder.encode(columns, KEY))
        if cover == "own"
        else to_text(result.model, cover="coarse")
    )
    found = np.abs(contributions(text, values)[..., :-1])
    return found.reshape(-1, *found.shape[-2:]).sum(axis=0).mean(axis=0)


def test_with_coarse_covers_the_spread_of_the_rows_does_not_matter() -> None:
    """To the last bit: sums are integers, and all sites weigh branches alike."""
    found = []
    for names in (["a"], ["a", "b", "c"], ["c", "b", "a"]):
        tables = split(ROWS, OWNER % len(names), names)
        transport, agreed, result = trained(tables)
        found.append(
            explain(transport, agreed, result.model, rows=3_000 // len(names), cover="coarse")
        )
    assert found[0] == found[1] == found[2]
    pooled = expected(result, ROWS, cover="coarse")
    np.testing.assert_allclose(list(found[0].values()), pooled, rtol=1e-6)
    assert list(found[0]) == ["spend", "visits", "age", "country", "channel"]
    assert min(found[0].values()) > 0


def test_with_its_own_covers_a_site_explains_its_own_customers() -> None:
    tables = split(ROWS, OWNER, ["a", "b", "c"])
    transport, agreed, result = trained(tables)
    found = explain(transport, agreed, result.model)
    by_site = [expected(result, rows, cover="own") for rows in tables.values()]
    weights = [rows.num_rows for rows in tables.values()]
    pooled = np.average(by_site, axis=0, weights=weights)
    np.testing.assert_allclose(list(found.values()), pooled, rtol=1e-6)


def test_validation_rows_are_explained_and_no_more_than_asked() -> None:
    seen: list[Envelope] = []
    tables = split(ROWS, OWNER, ["a", "b", "c"])
    agreed = manifest(list(tables), early_stopping_round=3, secure=False)
    transport = InProcessTransport(programs(tables), seen.append)
    result = train(transport, agreed)
    explain(transport, agreed, result.model)
    explain(transport, agreed, result.model, rows=10, number=2)
    assert evaluate(transport, agreed, result.model, number=3) == result.metrics
    replies = [
        m.decode_reply(envelope.body) for envelope in seen if envelope.direction == "from_site"
    ]
    rows = [reply.integers()[-1] for reply in replies if isinstance(reply, m.ContributionSums)]
    assert sum(rows[:3]) == result.counts.validation_rows
    assert rows[3:] == [10, 10, 10]


def test_classes_are_summed() -> None:
    rows = with_targets(table(600, seed=6))
    transport, agreed, result = trained(
        {"a": rows},
        label="next_channel",
        task="multiclass",
        classes=("0", "1", "2"),
        objective="multiclass",
        num_class=3,
        n_estimators=3,
    )
    found = explain(transport, agreed, result.model)
    np.testing.assert_allclose(list(found.values()), expected(result, rows, cover="own"), rtol=1e-6)


def test_a_site_without_rows_adds_nothing() -> None:
    alone = trained({"a": ROWS})
    joined = trained({"a": ROWS, "b": ROWS.slice(0, 0)})
    one, two = (
        explain(transport, agreed, result.model) for transport, agreed, result in (alone, joined)
    )
    np.testing.assert_allclose(list(one.values()), list(two.values()), rtol=1e-6)


def test_no_row_at_all_is_said() -> None:
    options = {"early_stopping_round": 2, "validation_fraction": 1e-9}
    transport, agreed, result = trained({"a": ROWS}, **options)
    with pytest.raises(DataError, match="no row to explain at any site"):
        explain(transport, agreed, result.model)


@pytest.mark.parametrize(
    "covers", [[1], [0] * 1_000, [2**31 - 1] * 1_000], ids=["too few", "none", "too large"]
)
def test_covers_that_fit_no_tree_are_refused(covers: list[int]) -> None:
    transport, _, result = trained({"a": ROWS}, n_estimators=2)
    leaves = sum(tree.leaves for tree in result.model.trees)
    request = m.ExplainRows(
        slot=m.Slot(run="run", tree=m.EVALUATION, level=1),
        base_scores=np.array(result.model.base_scores),
        rows=100,
        leaf_covers=np.array(covers[:leaves], dtype=np.int32),
        **trees_to_arrays(result.model.trees),
    )
    [(_, answer)] = transport.call(m.encode(request), ["a"], 60.0)
    reply = m.decode_reply(answer)
    assert isinstance(reply, m.Refused)
    assert reply.reason == "bad_message"


def test_an_answered_number_is_not_given_another_answer() -> None:
    transport, agreed, result = trained({"a": ROWS}, n_estimators=2)
    explain(transport, agreed, result.model)
    with pytest.raises(FederationError, match="changed"):
        explain(transport, agreed, result.model, rows=5)

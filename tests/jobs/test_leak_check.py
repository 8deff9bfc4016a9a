"""A feature that holds what is to be predicted is refused by name, before anything leaves."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from fed_audience.errors import DataError
from fed_audience.jobs.leak_check import check_leaks, single_auc
from fed_audience.jobs.rows import SiteRows
from fed_audience.jobs.train import train_model
from fed_audience.warehouse.manifest import ModelSpec
from fed_audience.warehouse.protocol import Relation
from tests.jobs.small_federation import KEY, NOW, SmallFederation
from tests.jobs.three_organisations import Organisations

ROWS = 400
RANDOM = np.random.default_rng(7)
LABEL = (np.arange(ROWS) % 4 == 0).astype(np.int64)


def table(**columns: Any) -> pa.Table:
    given = {"label": pa.array(LABEL), "cutoff_at": pa.array([NOW] * ROWS, pa.timestamp("us"))}
    return pa.table({"customer_id": [f"c{at}" for at in range(ROWS)], **given, **columns})


def check(rows: pa.Table, **spec: Any) -> None:
    asked = ModelSpec(model="repurchase", task="propensity", **spec)
    check_leaks("ant", SiteRows("ant", rows, 0), Relation("main", "fed_training"), asked)


HONEST = pa.array(RANDOM.normal(LABEL * 2.0))
LEAKS = {
    "the label itself": pa.array(LABEL * 10.0),
    "the label turned round": pa.array(1 - LABEL),
    "nearly the label": pa.array(np.where(np.arange(ROWS) == 8, 0.0, LABEL + 0.5)),
    "filled where the label is": pa.array([1.0 if one else None for one in LABEL]),
    "empty where the label is": pa.array([None if one else 5 for one in LABEL], pa.int64()),
    "a word": pa.array(["bought" if one else "not yet" for one in LABEL]),
    "coded words": pa.array(["yes" if one else "no" for one in LABEL]).dictionary_encode(),
    "a flag": pa.array(LABEL == 1),
}


@pytest.mark.parametrize("kind", LEAKS)
def test_a_feature_that_is_the_label_is_refused_by_name(kind: str) -> None:
    rows = table(f_honest=HONEST, f_planted=LEAKS[kind])
    with pytest.raises(
        DataError, match=r"f_planted \(AUC (1\.000|0\.99\d)\); allowed: below"
    ) as told:
        check(rows)
    assert "f_honest" not in str(told.value)
    assert "allow_leaky" in str(told.value)
    check(rows, allow_leaky=("f_planted",))
    check(rows, exclude_features=("f_planted",))


def test_a_strong_feature_and_one_category_a_row_are_no_leak() -> None:
    assert 0.85 < single_auc(HONEST.to_numpy(), LABEL == 1) < 0.98
    check(table(f_honest=HONEST, f_name=pa.array([f"word {at}" for at in range(ROWS)])))


def test_few_of_a_class_part_by_chance_and_are_let_pass() -> None:
    few = (np.arange(ROWS) < 49).astype(np.int64)
    check(table(f_planted=pa.array(few)).set_column(1, "label", pa.array(few)))
    one_more = pa.array((np.arange(ROWS) < 50).astype(np.int64))
    with pytest.raises(DataError, match="f_planted"):
        check(table(f_planted=one_more).set_column(1, "label", one_more))


def test_area_under_the_curve_counts_ties_half() -> None:
    values = np.array([1.0, 2.0, 2.0, 3.0, 1.0])
    positive = np.array([False, True, False, True, False])
    # Of six pairs five are in order and one is a tie.
    assert single_auc(values, positive) == pytest.approx(5.5 / 6)
    assert single_auc(-values, positive) == pytest.approx(5.5 / 6)


AT = pa.array([NOW] * ROWS, pa.timestamp("us"))
LATER = pa.array([NOW] * (ROWS - 1) + [NOW + timedelta(seconds=1)], pa.timestamp("us"))


def test_what_is_known_only_after_the_cutoff_is_refused_by_name() -> None:
    check(table(f_honest=HONEST, seen_at=AT), features_as_of="seen_at")
    with pytest.raises(DataError, match="what its features hold is known only after the cutoff"):
        check(table(f_honest=HONEST, seen_at=LATER), features_as_of="seen_at")
    with pytest.raises(DataError, match=r"f_honest is known only .* 1 of 400 rows; .* seen_at up"):
        check(table(f_honest=HONEST, seen_at=LATER), features_as_of={"f_honest": "seen_at"})
    with pytest.raises(DataError, match="the table has no column computed"):
        check(table(f_honest=HONEST), features_as_of="computed")


def test_a_date_among_the_features_lies_before_the_cutoff() -> None:
    dates = [date(2026, 6, 1)] * ROWS
    check(table(f_last=pa.array(dates)))
    check(table(f_last=LATER), exclude_features=("f_last",))
    with pytest.raises(DataError, match="f_last is known only after the cutoff"):
        check(table(f_last=pa.array([*dates[1:], date(2026, 6, 2)])))


PLANTED = "update fed_training_repurchase set f_visits = label"


def test_one_brand_with_a_leak_trains_nothing_and_keeps_its_place(
    small_federation: SmallFederation,
) -> None:
    small_federation.execute("bee", PLANTED)
    settings = small_federation.settings
    with pytest.raises(DataError, match=r"bee: features tell the label .* f_visits \(AUC 1\.000\)"):
        train_model(settings, settings.models[0], as_of=NOW, category_key=KEY)
    assert small_federation.requests() == {"ant": "pending", "bee": "pending"}


def test_an_agent_declines_by_the_features_name(organisations: Organisations) -> None:
    organisations.execute("cat", PLANTED)
    organisations.sign_all()
    program = organisations.coordinator()
    assert program.step() is None
    (record,) = program.book.runs()
    assert record.outcome is not None
    assert "cat: cat: features tell the label all but alone" in record.outcome.why
    assert "f_visits (AUC 1.000)" in record.outcome.why
    assert not (program.book.folder_of(record.run) / "journal").exists()

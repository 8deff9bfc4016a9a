"""Bins agreed by rounds are those of the pooled values, and depend on sums alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from fed_audience.federation import Envelope
from fed_audience.federation import messages as m
from fed_audience.gbdt.bins import CategoryBins, Feature, NumericBins
from fed_audience.gbdt.bins.categories import prefix_of
from tests.federation.example import KEY, run, table

ROWS = table(4_000, seed=12)


def bins_of(rows: pa.Table, **changes: Any) -> tuple[Any, list[m.CountValues]]:
    seen: list[Envelope] = []
    result = run({"a": rows}, on_message=seen.append, n_estimators=1, **changes)
    requests = [m.decode(e.body) for e in seen if e.direction == "to_site"]
    return result.encoder.bins, [r for r in requests if isinstance(r, m.CountValues)]


def test_bins_share_the_rows_out_evenly() -> None:
    (spend, *_), _ = bins_of(ROWS, max_bin=33)
    assert isinstance(spend, NumericBins)
    codes = np.searchsorted(spend.thresholds, ROWS["spend"].to_numpy())
    counts = np.bincount(codes, minlength=spend.size)
    assert 30 <= spend.size <= 33
    assert counts.max() <= 1.5 * 4_000 / 33


def test_few_values_get_a_bin_each() -> None:
    (_, visits, *_), _ = bins_of(ROWS)
    values = np.unique(ROWS["visits"].to_numpy()).tolist()
    assert isinstance(visits, NumericBins)
    codes = np.searchsorted(visits.thresholds, np.array(values, dtype=float))
    common = [v for v in values if ROWS["visits"].to_pylist().count(v) >= 3]
    assert len(set(codes[: len(common)])) == len(common)


def test_only_features_with_heavy_cells_are_counted_again() -> None:
    light = ROWS.set_column(
        ROWS.column_names.index("age"), "age", pa.array(np.repeat([1.0, 0.0], [5, 3_995]))
    )
    _, requests = bins_of(light)
    assert requests[0].numeric == (0, 1, 2)
    assert requests[0].bucketed == (3, 4)
    assert 0 in requests[1].numeric
    assert 2 not in requests[1].numeric
    assert requests[1].refined == (3, 4)
    assert 2 <= len(requests) <= 4
    for request in requests[2:]:
        assert set(request.numeric) <= set(requests[1].numeric)
        assert request.refined == ()


def test_common_categories_get_codes_by_count_and_rare_ones_none() -> None:
    (*_, country, channel), _ = bins_of(ROWS)
    assert isinstance(country, CategoryBins)
    counts: dict[str, int] = {}
    for value in ROWS["country"].to_pylist():
        if value is not None:
            counts[value] = counts.get(value, 0) + 1
    common = {value for value, count in counts.items() if count >= 20}
    assert set(country.prefixes) == {prefix_of(value, KEY) for value in common}
    ordered = sorted(common, key=lambda value: (-counts[value], prefix_of(value, KEY)))
    assert country.prefixes == tuple(prefix_of(value, KEY) for value in ordered)
    assert channel.size == 3


def test_a_run_of_rare_categories_alone_has_no_codes() -> None:
    place = ROWS.column_names.index("country")
    unique = ROWS.set_column(place, "country", pa.array([f"u{i}" for i in range(4_000)]))
    (country,), requests = bins_of(unique, features=(Feature("country", categorical=True),))
    assert country.prefixes == ()
    assert len(requests) == 1


@pytest.mark.parametrize("name", ["spend", "age"])
def test_a_feature_that_is_always_missing_trains(name: str) -> None:
    place = ROWS.column_names.index(name)
    empty = ROWS.set_column(place, name, pa.nulls(4_000, pa.float64()))
    result = run({"a": empty})
    index = [feature.name for feature in result.encoder.features].index(name)
    assert result.encoder.bins[index] == NumericBins(())
    assert result.importance[name].splits == 0


def test_another_category_key_gives_other_prefixes_but_as_good_a_model() -> None:
    (*_, country, _), _ = bins_of(ROWS)
    assert prefix_of("country 1", KEY) in country.prefixes
    assert prefix_of("country 1", b"other") not in country.prefixes

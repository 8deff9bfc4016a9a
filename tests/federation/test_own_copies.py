"""What a site keeps of a training: its brands' base scores, and trees of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

from fed_audience.errors import FederationError
from fed_audience.federation import Envelope, InProcessTransport, SiteProgram, TrainingResult, train
from fed_audience.federation.own_copies import OwnCopies
from fed_audience.gbdt.growing.continuation import continuation_parameters
from fed_audience.gbdt.models.model import to_text
from fed_audience.gbdt.models.predictor import raw_scores
from fed_audience.gbdt.models.reader import read_model
from tests.federation.example import FEATURES, KEY, manifest, programs, table

if TYPE_CHECKING:
    from collections.abc import Mapping

SHORT: dict[str, Any] = {"n_estimators": 12, "learning_rate": 0.2}


def brands(rows: int = 1_500) -> dict[str, pa.Table]:
    """Two brands of one shape; whoever buys at the first does not at the second."""
    north, south = table(rows, seed=1), table(rows, seed=2)
    label = pa.array(1 - south["label"].to_numpy())
    south = south.set_column(south.column_names.index("label"), "label", label)
    named = {"north": north, "south": south}
    return {
        name: rows_.append_column("brand", pa.array([name] * rows_.num_rows))
        for name, rows_ in named.items()
    }


def trained(
    tables: Mapping[str, pa.Table], left: list[Envelope] | None = None, **changes: Any
) -> tuple[TrainingResult, dict[str, SiteProgram]]:
    sites = programs(tables)
    transport = InProcessTransport(sites, left.append if left is not None else None)
    return train(transport, manifest(list(tables), **changes)), sites


def loss(result: TrainingResult, model: Any, rows: pa.Table) -> float:
    columns: Any = {name: rows[name] for name in rows.column_names}
    raw = raw_scores(model, result.encoder.encode(columns, KEY))
    return float(np.mean(np.logaddexp(0.0, raw * (1 - 2 * rows["label"].to_numpy()))))


def test_a_site_continues_the_trunk_at_home_and_nothing_leaves() -> None:
    left: list[Envelope] = []
    tables = brands()
    result, sites = trained(tables, left)
    sent = len(left)
    parameters = continuation_parameters(manifest(list(tables)).parameters)
    own = sites["south"].own_copies().continuation(result.model, replace(parameters, **SHORT))
    assert len(left) == sent
    assert own.chosen
    new = brands(2_500)["south"].slice(1_500)
    assert loss(result, own.on(result.model), new) < loss(result, result.model, new) - 0.05
    assert read_model(to_text(own.on(result.model))) is not None


def test_each_brand_has_a_base_score_of_its_own_near_its_rate() -> None:
    result, sites = trained(brands(), brand="brand", brand_base=True)
    (base,) = result.model.base_scores
    for name, rate in (("north", 0.3), ("south", 0.7)):
        copies = sites[name].own_copies().models(result.model)
        assert set(copies) == {name}
        (own,) = copies[name].base_scores
        assert abs(own - np.log(rate / (1 - rate))) < 0.3 < abs(own - base)
        assert copies[name].trees == result.model.trees


def test_a_run_without_brands_has_no_copies_by_brand() -> None:
    result, sites = trained(brands(400))
    assert sites["north"].own_copies().models(result.model) == {}


def test_the_brand_bases_are_what_local_trees_start_from() -> None:
    tables = brands()
    result, sites = trained(tables, brand="brand", brand_base=True)
    copies = sites["south"].own_copies()
    options = continuation_parameters(manifest(list(tables)).parameters)
    own = copies.continuation(result.model, replace(options, n_estimators=1))
    based = loss(result, copies.models(result.model)["south"], tables["south"])
    assert own.trunk_loss == pytest.approx(based, abs=1e-6)


def test_rows_of_a_person_are_held_out_together() -> None:
    _, sites = trained(brands(600), group_key="person")
    copies = sites["north"].own_copies()
    assert isinstance(copies, OwnCopies)
    groups = copies.groups
    assert groups is not None
    assert len(np.unique(groups)) == 200


def test_a_model_of_another_training_is_refused() -> None:
    result, _ = trained(brands(400))
    _, others = trained({"north": table(500, seed=9)})
    with pytest.raises(FederationError, match="other bins"):
        others["north"].own_copies().continuation(result.model)
    fresh = programs({"north": table(10)})["north"]
    with pytest.raises(FederationError, match="has trained no model"):
        fresh.own_copies()
    assert len(FEATURES) == len(result.model.features)

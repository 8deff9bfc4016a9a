"""A site whose rows are spread over workers answers in the bytes of one process."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from fed_audience.errors import FederationError
from fed_audience.federation import (
    ArrowSource,
    Envelope,
    InProcessTransport,
    SiteProgram,
    TrainingResult,
    explain,
    train,
)
from fed_audience.federation.manifest import Manifest
from fed_audience.federation.messages.refusal import SiteHindered, SiteRefused
from fed_audience.federation.site import rows as reading
from fed_audience.federation.workers import share as sharing
from tests.federation.example import KEY, manifest, programs, split, table, with_targets
from tests.federation.workers.spread import (
    MortalEngine,
    shares_of,
    spread_program,
    spread_programs,
)

SITES = ("a", "b", "c")
WHOLE = with_targets(table(900, seed=3))
TABLES = split(WHOLE, np.arange(900) % 7 % 3, SITES)

RUNS: dict[str, dict[str, Any]] = {
    "early stopping and bagging": {
        "early_stopping_round": 3,
        "bagging_fraction": 0.7,
        "feature_fraction": 0.6,
    },
    "leaf by leaf": {"leaves_per_round": 3, "num_leaves": 9, "max_depth": 6},
    "a demand": {
        "task": "demand",
        "label": "margin",
        "objective": "regression",
        "early_stopping_round": 2,
    },
    "classes": {
        "task": "multiclass",
        "label": "next_channel",
        "objective": "multiclass",
        "num_class": 3,
        "classes": ("0", "1", "2"),
    },
    "weights and brands": {
        "weight": "weight",
        "max_weight": 4.0,
        "brand": "brand",
        "brand_base": True,
        "brand_weights": (("north", 2.0),),
        "early_stopping_round": 3,
    },
    "groups": {"group_key": "person", "early_stopping_round": 3},
}


def recorded(sites: dict[str, SiteProgram], agreed: Manifest) -> tuple[TrainingResult, list[bytes]]:
    """Train; return what left the sites as well, in order."""
    left: list[bytes] = []

    def keep(envelope: Envelope) -> None:
        if envelope.direction == "from_site":
            left.append(envelope.body)

    transport = InProcessTransport(sites, keep)
    result = train(transport, agreed)
    return result, left


@pytest.mark.parametrize("name", RUNS)
def test_every_vector_is_that_of_one_process(name: str) -> None:
    agreed = manifest(SITES, secure=False, n_estimators=4, **RUNS[name])
    result, left = recorded(programs(TABLES), agreed)
    spread, spread_left = recorded(spread_programs(TABLES, 3), agreed)
    assert spread_left == left
    assert spread.sha256 == result.sha256


def test_shares_may_be_empty_and_of_any_size() -> None:
    agreed = manifest(SITES, n_estimators=3)
    alone = train(InProcessTransport(programs(TABLES)), agreed)
    sites = programs(TABLES) | {"b": spread_program("b", shares_of(TABLES["b"], 5))}
    assert train(InProcessTransport(sites), agreed).sha256 == alone.sha256


@pytest.mark.parametrize(
    "changes", [{"early_stopping_round": 2}, {"early_stopping_round": 2, "brand": "brand"}]
)
@pytest.mark.parametrize("cover", ["own", "coarse"])
def test_an_explanation_is_that_of_one_process(changes: dict[str, Any], cover: Any) -> None:
    agreed = manifest(SITES, n_estimators=3, brand_base="brand" in changes, **changes)

    def explained(sites: dict[str, SiteProgram]) -> dict[str, float]:
        transport = InProcessTransport(sites)
        return explain(transport, agreed, train(transport, agreed).model, cover=cover)

    assert explained(spread_programs(TABLES, 3)) == explained(programs(TABLES))


def test_some_rows_are_explained_evenly_over_the_shares() -> None:
    agreed = manifest(("a",), n_estimators=2, label_sites=("a",))
    shares = [WHOLE.slice(0, 500), WHOLE.slice(500)]

    def explained(program: SiteProgram) -> dict[str, float]:
        transport = InProcessTransport({"a": program})
        return explain(transport, agreed, train(transport, agreed).model, rows=100)

    alone = explained(SiteProgram("a", ArrowSource(WHOLE), KEY))
    assert explained(spread_program("a", shares)) == alone


def test_brands_keep_copies_of_their_own_and_trees_of_their_own_are_refused_by_name() -> None:
    agreed = manifest(SITES, n_estimators=2, brand="brand", brand_base=True)

    def copies(sites: dict[str, SiteProgram]) -> Any:
        model = train(InProcessTransport(sites), agreed).model
        return model, sites["a"].own_copies()

    model, own = copies(programs(TABLES))
    spread_model, spread = copies(spread_programs(TABLES, 3))
    assert spread.models(spread_model) == own.models(model)
    with pytest.raises(FederationError, match="leave `continuation` out"):
        spread.continuation(spread_model)


def test_a_key_in_two_shares_is_refused() -> None:
    twice = [WHOLE.slice(0, 500), WHOLE.slice(400)]
    with pytest.raises(SiteRefused, match=r"row_keys.*customer"):
        train(
            InProcessTransport({"a": spread_program("a", twice)}),
            manifest(("a",), label_sites=("a",)),
        )


def test_a_key_of_two_brands_may_stand_in_two_shares() -> None:
    brand = WHOLE.column_names.index("brand")
    shares = [
        WHOLE.slice(0, 500).set_column(brand, "brand", pa.repeat(name, 500))
        for name in ("north", "south")
    ]
    agreed = manifest(("a",), label_sites=("a",), brand="brand", n_estimators=1)
    spread = train(InProcessTransport({"a": spread_program("a", shares)}), agreed)
    both = SiteProgram("a", ArrowSource(pa.concat_tables(shares)), KEY)
    assert spread.sha256 == train(InProcessTransport({"a": both}), agreed).sha256


def test_equal_hashes_of_different_keys_are_no_repeated_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def colliding(rows: pa.Table, agreed: Manifest) -> np.ndarray[Any, Any]:
        return np.arange(rows.num_rows, dtype=np.uint64)

    monkeypatch.setattr(reading, "identities", colliding)
    monkeypatch.setattr(sharing, "identities", colliding)
    shares = [WHOLE.slice(0, 500), WHOLE.slice(500)]
    agreed = manifest(("a",), label_sites=("a",), n_estimators=1)
    assert train(InProcessTransport({"a": spread_program("a", shares)}), agreed).model_text


def test_a_refusal_of_one_share_is_that_of_the_site() -> None:
    label = WHOLE.column_names.index("label")
    odd = WHOLE.slice(500).set_column(label, "label", pa.repeat(2, 400))
    shares = [WHOLE.slice(0, 500), odd]
    with pytest.raises(SiteRefused, match="label_values"):
        train(
            InProcessTransport({"a": spread_program("a", shares)}),
            manifest(("a",), label_sites=("a",)),
        )


def test_limits_are_of_all_rows_together() -> None:
    agreed = manifest(("a",), label_sites=("a",), n_estimators=1)
    transport = InProcessTransport(
        {"a": spread_program("a", shares_of(WHOLE, 3), min_rows=WHOLE.num_rows)}
    )
    assert train(transport, agreed).model_text
    with pytest.raises(SiteRefused, match="too_few_rows"):
        train(
            InProcessTransport(
                {"a": spread_program("a", shares_of(WHOLE, 3), min_rows=WHOLE.num_rows + 1)}
            ),
            agreed,
        )


def mortal(sources: list[pa.Table], fate: Any) -> tuple[SiteProgram, MortalEngine]:
    engine = MortalEngine([ArrowSource(rows) for rows in sources], fate)
    return spread_program("a", sources, engine), engine


@pytest.mark.parametrize("call", [0, 1, 5, 6, 8, 11, 21])
def test_a_lost_worker_begins_anew_and_the_run_ends_in_the_same_bytes(call: int) -> None:
    agreed = manifest(
        ("a", "b", "c"),
        n_estimators=4,
        early_stopping_round=3,
        bagging_fraction=0.8,
        brand="brand",
        brand_base=True,
    )
    alone = train(InProcessTransport(programs(TABLES)), agreed)
    shares = shares_of(TABLES["a"], 3)
    program, engine = mortal(shares, lambda share, _method, number: (share, number) == (1, call))
    sites = programs(TABLES) | {"a": program}
    assert train(InProcessTransport(sites), agreed).sha256 == alone.sha256
    assert sorted(engine.started) == [0, 1, 1, 2]


def test_all_workers_may_be_lost_at_once() -> None:
    agreed = manifest(("a",), label_sites=("a",), n_estimators=3)
    alone = train(InProcessTransport({"a": SiteProgram("a", ArrowSource(WHOLE), KEY)}), agreed)
    program, engine = mortal(
        shares_of(WHOLE, 3), lambda _share, method, number: method == "compute" and number == 12
    )
    assert train(InProcessTransport({"a": program}), agreed).sha256 == alone.sha256
    assert sorted(engine.started) == [0, 0, 1, 1, 2, 2]


def test_a_worker_that_is_lost_again_and_again_hinders_the_site() -> None:
    program, engine = mortal(shares_of(WHOLE, 2), lambda share, *_: share == 1)
    with pytest.raises(SiteHindered, match="workers"):
        train(InProcessTransport({"a": program}), manifest(("a",), label_sites=("a",)))
    assert engine.started.count(1) == 4


def trained_with_other_rows_later(later: pa.Table) -> TrainingResult:
    """Train over two shares; the second one's worker is lost, and the next one reads ``later``."""
    shares = [WHOLE.slice(0, 400), WHOLE.slice(400, 400)]
    sources = [ArrowSource(rows) for rows in shares]

    def fate(share: int, _method: str, number: int) -> bool:
        lost = (share, number) == (1, 12)
        if lost:
            sources[1]._table = later
        return lost

    program = spread_program("a", shares, MortalEngine(sources, fate))
    return train(InProcessTransport({"a": program}), manifest(("a",), label_sites=("a",)))


def test_a_share_that_has_changed_meanwhile_ends_the_run() -> None:
    spend = WHOLE.column_names.index("spend")
    changed = WHOLE.slice(400, 400).set_column(spend, "spend", pa.repeat(1.0, 400))
    with pytest.raises(SiteRefused, match="rows_changed"):
        trained_with_other_rows_later(changed)


def test_a_lost_worker_asks_for_consent_again() -> None:
    with pytest.raises(SiteRefused, match="withdrawn"):
        trained_with_other_rows_later(WHOLE.slice(401, 399))


def test_rows_that_came_since_are_left_out_by_a_worker_that_begins_anew() -> None:
    first = SiteProgram("a", ArrowSource(WHOLE.slice(0, 800)), KEY)
    alone = train(InProcessTransport({"a": first}), manifest(("a",), label_sites=("a",)))
    assert trained_with_other_rows_later(WHOLE.slice(400)).sha256 == alone.sha256

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fed_audience.errors import ConfigError, FederationError
from fed_audience.federation import Manifest
from fed_audience.gbdt.bins import Feature
from tests.federation.example import manifest


def test_a_manifest_survives_its_json() -> None:
    written = manifest(["b", "a"], label_sites=("a",), group_key="person", min_category_count=5)
    assert Manifest.from_json(written.to_json()) == written
    assert Manifest.from_json(written.to_json()).sha256 == written.sha256


def test_any_change_changes_the_hash() -> None:
    hashes = {
        manifest(**({"sites": ["a", "b"]} | change)).sha256
        for change in ({}, {"run_id": "r2"}, {"seed": 1}, {"label": "l"}, {"group_key": "person"})
    }
    assert len(hashes) == 5


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"sites": ()}, "needs sites"),
        ({"sites": ("a", "a")}, "needs sites"),
        ({"sites": ("a", "")}, "needs sites"),
        ({"label_sites": ("z",)}, "label_sites"),
        ({"label_sites": ()}, "label_sites"),
        ({"features": ()}, "no features"),
        ({"features": (Feature("a b"),)}, "characters"),
        ({"features": (Feature("x"), Feature("x"))}, "same name"),
        ({"features": (Feature("label"),)}, "label column is declared as a feature"),
        ({"features": (Feature("customer"),)}, "row_key column is declared as a feature"),
        ({"label": ""}, "label is empty"),
        ({"task": "guess"}, "unknown task"),
        ({"min_category_count": 0}, "min_category_count"),
        ({"max_bin": 256}, "max_bin"),
    ],
)
def test_what_cannot_be_trained_is_refused(change: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        manifest(**({"sites": ["a", "b"]} | change))


def test_training_sites_are_all_unless_labels_are_at_some() -> None:
    assert manifest(["a", "b"]).training_sites == ("a", "b")
    assert manifest(["a", "b"], label_sites=("b",)).training_sites == ("b",)


@given(st.text(max_size=30))
def test_arbitrary_text_is_refused(text: str) -> None:
    with pytest.raises(FederationError, match="manifest"):
        Manifest.from_json(text)


@given(data=st.data())
def test_a_damaged_document_is_refused(data: st.DataObject) -> None:
    document = json.loads(manifest(["a", "b"], group_key="person").to_json())
    key = data.draw(st.sampled_from(sorted(document)))
    value = data.draw(st.none() | st.integers() | st.floats() | st.lists(st.integers(), max_size=2))
    nothing_new = value == document[key] and type(value) is type(document[key])
    unset = key in {"group_key", "label_sites"} and value is None
    counts = key == "min_category_count" and type(value) is int and value >= 1
    weight = key == "max_weight" and type(value) is float and 1e-4 <= value <= 1e4
    if nothing_new or unset or counts or weight:
        return
    document[key] = value
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    with pytest.raises(FederationError, match="manifest"):
        Manifest.from_json(text)


def test_another_version_is_named() -> None:
    text = manifest(["a"]).to_json().replace('"version":1', '"version":2')
    with pytest.raises(FederationError, match="version 2"):
        Manifest.from_json(text)


def test_another_spelling_is_refused() -> None:
    with pytest.raises(FederationError, match="canonical"):
        Manifest.from_json(manifest(["a"]).to_json() + " ")

"""What a manifest of a private run may say, and what is refused by name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fed_audience.errors import ConfigError
from fed_audience.federation import Manifest
from fed_audience.federation.private.public_values import PublicValues
from fed_audience.federation.private.recipe import private_parameters
from fed_audience.privacy.dp.plan import PrivacyTerms
from tests.federation.private.example import PUBLIC, private_manifest

GOOD = private_manifest(["a", "b", "c"])


def test_a_private_manifest_is_read_back_as_it_was_written() -> None:
    agreed = private_manifest(["a", "b", "c"], epsilon=1)
    assert Manifest.from_json(agreed.to_json()) == agreed


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({"early_stopping_round": 5}, "early stopping"),
        ({"bagging_fraction": 0.5}, "drawn rows"),
        ({"feature_fraction": 0.5}, "drawn features"),
        ({"scale_pos_weight": 2.0}, "weights"),
        ({"monotone_constraints": (("age", 1),)}, "monotone constraints"),
    ],
)
def test_a_parameter_that_cannot_be_kept_private_is_refused(
    asked: dict[str, Any], named: str
) -> None:
    with pytest.raises(ConfigError, match=f"a private run does not go with .*{named}"):
        replace(GOOD, parameters=replace(GOOD.parameters, **asked))


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({"weight": "weight"}, "weights"),
        ({"brand": "brand"}, "brands within a site"),
        ({"group_key": "person"}, "several rows of one person"),
        ({"allow_missing_features": True}, "features that a site lacks"),
    ],
)
def test_a_role_that_cannot_be_kept_private_is_refused(asked: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=f"a private run does not go with .*{named}"):
        replace(GOOD, **asked)


def test_a_number_is_not_predicted_privately() -> None:
    parameters = replace(GOOD.parameters, objective="poisson")
    with pytest.raises(ConfigError, match="an objective but binary"):
        replace(GOOD, task="demand", parameters=parameters)


def test_a_feature_without_public_values_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="feature age has no public range"):
        replace(GOOD, public=tuple(values for values in PUBLIC if values.feature != "age"))
    with pytest.raises(ConfigError, match="feature channel has no public categories"):
        replace(GOOD, public=(*PUBLIC[:-1], PublicValues("channel", 0, 1)))


def test_public_values_of_nothing_are_refused() -> None:
    with pytest.raises(ConfigError, match="public values of shoe"):
        replace(GOOD, public=(*PUBLIC, PublicValues("shoe", 30, 50)))
    with pytest.raises(ConfigError, match="two declarations"):
        replace(GOOD, public=(*PUBLIC, PUBLIC[0]))
    with pytest.raises(ConfigError, match="does not go with public ranges"):
        replace(GOOD, privacy=None)


def test_a_range_that_is_none_is_refused() -> None:
    for low, high in ((1, 0), (float("nan"), 1), (0, float("inf"))):
        with pytest.raises(ConfigError, match="the public range of feature x is none"):
            PublicValues("x", low, high)
    with pytest.raises(ConfigError, match="cannot be told apart"):
        PublicValues("x", categories=("a", "a"))
    with pytest.raises(ConfigError, match="cannot be told apart"):
        PublicValues("x", categories=tuple(map(str, range(254))))
    with pytest.raises(ConfigError, match="one of them"):
        PublicValues("x")


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-5, 1e6), (17, 90), (3, 3), (-1e18, 1e18)])
def test_cells_of_a_range_are_few_and_ascend_within_it(low: float, high: float) -> None:
    cuts = PublicValues("x", low, high).cells().thresholds
    assert list(cuts) == sorted(set(cuts))
    assert len(cuts) <= 254
    assert all(low <= cut < high for cut in cuts)
    if low < high:
        assert len(cuts) > 100


def test_every_site_may_not_collude() -> None:
    with pytest.raises(ConfigError, match="every site may collude"):
        replace(GOOD, privacy=PrivacyTerms(1, 1e-6, 3))


def test_passes_and_bins_follow_from_epsilon() -> None:
    low, high = private_parameters(1, 13, 100), private_parameters(4, 13, 100)
    assert (low.n_estimators, low.max_bin) == (39, 16)
    assert (high.n_estimators, high.max_bin) == (78, 32)

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fed_audience.audiences.lookalike import (
    BrandDifference,
    LookalikeSettings,
    SeedWarning,
    brand_discriminator_verdict,
    check_seeds,
    common_features,
)
from fed_audience.errors import ConfigError, DataError

THREE = ("fashion", "grocery", "travel")


def settings(**changes: object) -> LookalikeSettings:
    given: dict[str, object] = {"mode": "seed_brand", "brands": THREE, "seed_brand": "fashion"}
    return LookalikeSettings(**{**given, **changes})  # type: ignore[arg-type]


def test_targets_are_the_other_brands_and_their_score_is_a_rank() -> None:
    seed_brand = settings()
    assert seed_brand.targets == ("grocery", "travel")
    assert [seed_brand.is_rank(brand) for brand in THREE] == [False, True, True]


def test_with_a_seed_rule_every_brand_has_labels() -> None:
    seed_rule = settings(mode="seed_rule", seed_brand=None)
    assert seed_rule.targets == ()
    assert not any(seed_rule.is_rank(brand) for brand in THREE)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"seed_brand": "shoes"}, "value: shoes; allowed: fashion, grocery, travel"),
        ({"seed_brand": None}, "must take part"),
        ({"brands": ("fashion",)}, "needs a target brand"),
        ({"brands": ("fashion", "travel", "travel")}, "takes part twice"),
        ({"mode": "seed_rule", "seed_brand": None, "brands": THREE[:2]}, "at least 3"),
        ({"mode": "seed_rule"}, "a seed rule has no seed brand"),
        ({"minimum_fill": 0.0}, "minimum_fill"),
        ({"minimum_fill": 1.5}, "minimum_fill"),
        ({"minimum_seeds": 0}, "minimum_seeds"),
        ({"override_reason": "  "}, "recorded with its reason"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        settings(**changes)
    assert says in str(refusal.value)


def test_only_features_that_every_brand_fills_are_kept_and_the_rest_explained() -> None:
    common = common_features(
        {
            "fashion": {"f_orders": 1.0, "f_returns": 0.4, "f_pages": 0.9, "f_brand": 1.0},
            "grocery": {"f_orders": 0.05, "f_returns": 0.049, "f_brand": 1.0},
            "travel": {"f_orders": 0.8, "f_returns": 0.0, "f_pages": 0.9, "f_brand": 1.0},
        },
        minimum_fill=0.05,
        brand_columns=["f_brand"],
    )
    assert common.kept == ("f_orders",)
    assert common.left_out == {
        "f_returns": "filled too rarely: grocery 4.9%, travel 0.0% (needs 5.0%)",
        "f_pages": "filled too rarely: grocery 0.0% (needs 5.0%)",
        "f_brand": "names the brand",
    }


def test_a_feature_that_only_a_later_brand_has_is_left_out_too() -> None:
    common = common_features(
        {"fashion": {"a": 1.0}, "grocery": {"a": 1.0, "miles": 1.0}}, minimum_fill=0.05
    )
    assert common.left_out == {"miles": "filled too rarely: fashion 0.0% (needs 5.0%)"}


def test_brands_without_a_common_feature_are_refused() -> None:
    with pytest.raises(DataError, match="no filled feature in common; value: 2 features"):
        common_features({"fashion": {"a": 1.0}, "grocery": {"b": 1.0}}, minimum_fill=0.05)


@pytest.mark.parametrize("setting", ["demo", "production"])
def test_a_thousand_seeds_are_enough(setting: str) -> None:
    assert check_seeds(1_000, 5_000, settings(setting=setting)) is None


def test_fewer_seeds_warn_in_a_demo() -> None:
    warning = check_seeds(999, 5_000, settings(setting="demo"))
    assert warning == SeedWarning(999, 1_000)
    assert "999 seeds, fewer than the 1,000" in SeedWarning(999, 1_000).message


def test_fewer_seeds_are_refused_in_production() -> None:
    with pytest.raises(DataError, match="value: 999; allowed: at least 1000"):
        check_seeds(999, 5_000, settings())


@pytest.mark.parametrize(("seeds", "others"), [(0, 100), (100, 0)])
@pytest.mark.parametrize("setting", ["demo", "production"])
def test_one_class_alone_is_no_lookalike_anywhere(seeds: int, others: int, setting: str) -> None:
    with pytest.raises(DataError, match="needs seeds and other customers"):
        check_seeds(seeds, others, settings(setting=setting))


@pytest.mark.parametrize(
    ("auc", "verdict", "may_proceed"),
    [
        (0.5, "ok", True),
        (0.8499, "ok", True),
        (0.85, "warn", True),
        (0.9499, "warn", True),
        (0.95, "refuse", False),
        (1.0, "refuse", False),
        (0.02, "refuse", False),
        (0.15, "warn", True),
    ],
)
def test_the_verdict_follows_how_far_the_brands_differ(
    auc: float,
    verdict: str,
    may_proceed: bool,  # noqa: FBT001 - parametrized
) -> None:
    difference = brand_discriminator_verdict(auc)
    assert (difference.verdict, difference.may_proceed) == (verdict, may_proceed)


@given(st.floats(0.0, 1.0))
def test_an_auc_and_its_mirror_image_mean_the_same(auc: float) -> None:
    assert brand_discriminator_verdict(auc) == brand_discriminator_verdict(max(auc, 1 - auc))


def test_an_override_lets_a_refused_brand_pass_and_is_recorded() -> None:
    difference = brand_discriminator_verdict(0.97, override_reason="agreed with both owners")
    assert difference == BrandDifference(0.97, "overridden", "agreed with both owners")
    assert "overridden, agreed with both owners" in difference.message("travel")
    difference.require("travel")


def test_an_override_that_was_not_needed_is_not_recorded() -> None:
    assert brand_discriminator_verdict(0.9, override_reason="just in case").override_reason is None


def test_a_refused_brand_is_named_with_what_to_do() -> None:
    with pytest.raises(DataError, match=r"travel differs too much.*0\.970.*below 0\.95.*override"):
        brand_discriminator_verdict(0.97).require("travel")


def test_every_verdict_has_a_sentence() -> None:
    assert "carry over" in brand_discriminator_verdict(0.6).message("travel")
    assert "small test" in brand_discriminator_verdict(0.9).message("travel")
    assert "refused" in brand_discriminator_verdict(0.96).message("travel")


@pytest.mark.parametrize("auc", [-0.1, 1.1, float("nan")])
def test_an_auc_outside_zero_to_one_is_refused(auc: float) -> None:
    with pytest.raises(DataError, match="between 0 and 1"):
        brand_discriminator_verdict(auc)

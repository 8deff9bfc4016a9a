"""Features of a world that is small enough to compute by hand."""

from __future__ import annotations

from math import log, sqrt
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.dbt_package.conftest import Stage, Stages

CUTOFF = "2025-08-30"

ANN_AT_THE_TRAINING_CUTOFF = {
    # o1 10 days before, o2 60.25 (late, within the grace), o3 266; o4 was cancelled, o5 came too
    # late, o6 lies on the cutoff itself, and o1's refund came after it.
    "f_recency_days": 10.0,
    "f_orders_30d": 1.0,
    "f_orders_90d": 2.0,
    "f_orders_365d": 3.0,
    "f_revenue_30d": 90.0,
    "f_revenue_90d": 140.0,
    "f_revenue_365d": 300.0,
    "f_order_value_mean_90d": 70.0,
    "f_order_value_mean_365d": 340 / 3,
    "f_order_value_max_365d": 200.0,
    "f_order_value_std_365d": sqrt(18_100 / 3),
    "f_gap_mean_days": 128.0,
    "f_gap_std_days": (205.75 - 50.25) / sqrt(2),
    "f_recency_to_gap": 10 / 128,
    "f_refund_rate_365d": 1 / 3,
    "f_discount_share_365d": 10 / 350,
    "f_full_price_share_365d": 2 / 3,
    "f_coupon_share_365d": 1 / 3,
    "f_weekend_order_share_365d": 1 / 3,
    "f_evening_order_share_365d": 1 / 3,
    "f_units_365d": 4.0,
    "f_price_level_365d": 77.5,
    "f_categories_365d": 2.0,
    "f_category_entropy_365d": -(0.75 * log(0.75) + 0.25 * log(0.25)),
    "f_top_category_share_365d": 0.75,
    "f_premium_share_365d": 0.25,
    # s1, and s2 of cookie c1; c2 is linked to her only later, and nobody owns the last cookie.
    "f_session_recency_days": 5.0,
    "f_sessions_7d": 1.0,
    "f_sessions_30d": 2.0,
    "f_sessions_90d": 2.0,
    "f_engaged_minutes_30d": 3.0,
    "f_engaged_minutes_90d": 3.0,
    "f_pages_per_session_90d": 3.0,
    "f_paid_session_share_90d": 0.5,
    "f_organic_session_share_90d": 0.5,
    "f_email_session_share_90d": 0.0,
    "f_direct_session_share_90d": 0.0,
    "f_affiliate_session_share_90d": 0.0,
    "f_mobile_session_share_90d": 0.5,
    # e1, e2 and e6 of cookie c3 since it is hers; e12 came too late.
    "f_views_7d": 0.0,
    "f_views_30d": 3.0,
    "f_views_90d": 3.0,
    "f_carts_7d": 0.0,
    "f_carts_30d": 2.0,
    "f_carts_90d": 2.0,
    "f_abandoned_carts_7d": 0.0,
    "f_abandoned_carts_30d": 1.0,
    "f_abandoned_carts_90d": 1.0,
    "f_searches_30d": 0.0,
    "f_searches_90d": 1.0,
    "f_support_tickets_365d": 1.0,
    "f_view_to_buy_90d": 2 / 3,
    # m1 was clicked, m2 only after the cutoff, m3 bounced.
    "f_email_delivered_30d": 2.0,
    "f_email_delivered_90d": 3.0,
    "f_email_click_rate_30d": 0.5,
    "f_email_click_rate_90d": 1 / 3,
    "f_email_click_recency_days": 14.0,
    "f_email_unsubscribed": 0.0,
    "f_tenure_days": 365.0,
    "f_preferred_channel": "web",
    "f_preferred_category": "shoes",
    "f_preferred_device": "desktop",
    "f_country": "DE",
    "f_season": "summer",
}


def features(stage: Stage, customer: str, cutoff: str = CUTOFF) -> dict[str, Any]:
    row = stage.record(
        "select * from fct_customer_features "
        f"where customer_id = '{customer}' and cutoff_at = '{cutoff}'"
    )
    return {name: value for name, value in row.items() if name.startswith("f_")}


def test_every_feature_is_what_a_hand_computes(built: Stage) -> None:
    assert features(built, "ann") == pytest.approx(ANN_AT_THE_TRAINING_CUTOFF)


def test_a_customer_without_activity_has_counts_of_zero_and_no_rates(built: Stage) -> None:
    ida = features(built, "ida")
    assert (
        ida["f_orders_365d"]
        == ida["f_revenue_30d"]
        == ida["f_sessions_30d"]
        == ida["f_carts_90d"]
        == 0
    )
    assert ida["f_units_365d"] == ida["f_categories_365d"] == ida["f_engaged_minutes_90d"] == 0
    assert ida["f_recency_days"] is None
    assert ida["f_refund_rate_365d"] is None
    assert ida["f_email_click_rate_90d"] is None
    assert ida["f_preferred_channel"] is None


def test_the_former_owner_keeps_what_the_cookie_saw_before(built: Stage) -> None:
    assert features(built, "bob")["f_views_30d"] == 1


def test_the_scoring_cutoff_sees_what_happened_since(built: Stage) -> None:
    ann = features(built, "ann", "2025-10-01")
    # o5 and o6 are known by then, o1 is refunded; m2 is clicked and unsubscribed.
    assert ann["f_orders_90d"] == 3
    assert ann["f_revenue_90d"] == 70 + 1000 + (100 - 10 - 90)
    assert ann["f_email_unsubscribed"] == 1
    assert ann["f_season"] == "autumn"


def test_the_late_link_of_a_cookie_brings_its_visits_once_it_is_known(built: Stage) -> None:
    # s4, and s3 of cookie c2; s1 and s2 are still within 90 days.
    assert features(built, "ann", "2025-10-01")["f_sessions_90d"] == 4


def test_nothing_planted_after_the_cutoff_changes_a_feature_before_it(stages: Stages) -> None:
    sql = f"select * from fct_customer_features where cutoff_at = '{CUTOFF}' order by customer_id"
    assert stages.rebuilt_with_future.rows(sql) == stages.built.rows(sql)


def test_what_was_planted_does_change_the_later_cutoff(stages: Stages) -> None:
    before = features(stages.built, "ann", "2025-10-01")
    after = features(stages.rebuilt_with_future, "ann", "2025-10-01")
    moved = {name for name in before if before[name] != after[name]}
    assert {
        "f_revenue_90d",
        "f_units_365d",
        "f_sessions_30d",
        "f_views_90d",
        "f_email_click_rate_90d",
    } <= moved


def test_only_who_allows_profiling_then_and_now_has_features(built: Stage) -> None:
    rows = built.rows("select customer_id, cutoff_at::date::varchar from fct_customer_features")
    everyone = {"ann", "bob", "cat", "dan", "gus", "ida", "jon"}
    assert {customer for customer, cutoff in rows if cutoff == CUTOFF} == everyone
    assert {customer for customer, cutoff in rows if cutoff == "2025-10-01"} == everyone | {
        "fay",
        "new",
    }
    assert len(rows) == len(everyone) * 2 + 2


def test_the_scorer_reads_the_scoring_cutoff_of_those_who_allow_it_now(own_copy: Stage) -> None:
    own_copy.withdraw("g-bob-profile")
    rows = own_copy.rows(
        "select customer_id, cutoff_at::date::varchar from fct_scoring_features order by 1"
    )
    assert rows == [
        (name, "2025-10-01") for name in ("ann", "cat", "dan", "fay", "gus", "ida", "jon", "new")
    ]


def test_features_are_doubles_or_text(built: Stage) -> None:
    types = {
        name: kind
        for name, kind in built.columns("fct_customer_features").items()
        if name.startswith("f_")
    }
    texts = {name for name, kind in types.items() if kind == "VARCHAR"}
    assert types.keys() == ANN_AT_THE_TRAINING_CUTOFF.keys()
    assert set(types.values()) == {"DOUBLE", "VARCHAR"}
    assert texts == {
        name for name, value in ANN_AT_THE_TRAINING_CUTOFF.items() if isinstance(value, str)
    }

"""A brand that lacks tables and columns: what it cannot know is NULL, and the build is green."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.dbt_package.conftest import Stage

UNKNOWN = [
    "f_sessions_30d",
    "f_sessions_90d",
    "f_session_recency_days",
    "f_preferred_device",
    "f_paid_session_share_90d",
    "f_views_30d",
    "f_carts_90d",
    "f_support_tickets_365d",
    "f_view_to_buy_90d",
    "f_email_click_rate_30d",
    "f_email_unsubscribed",
    "f_coupon_share_365d",
    "f_refund_rate_365d",
    "f_categories_365d",
    "f_category_entropy_365d",
    "f_premium_share_365d",
    "f_preferred_category",
]


@pytest.mark.parametrize("feature", UNKNOWN)
def test_a_feature_of_what_is_missing_is_null_for_everyone(sparse: Stage, feature: str) -> None:
    assert sparse.rows(f"select count(*) > 0, count({feature}) from fct_customer_features") == [
        (True, 0)
    ]


def test_features_of_what_is_there_are_kept(sparse: Stage) -> None:
    ann = sparse.record(
        "select * from fct_customer_features where customer_id = 'ann' and cutoff_at = '2025-08-30'"
    )
    # o5 counts as arrived when it was placed, as this brand does not say, but its line came too
    # late; o1's refund has no date.
    assert ann["f_orders_365d"] == 4
    assert ann["f_revenue_365d"] == 90 + 50 + 200 + 70
    assert ann["f_price_level_365d"] == (60 + 50 + 200) / 4
    assert ann["f_full_price_share_365d"] == 0.75


def test_missing_columns_are_typed_nulls(sparse: Stage) -> None:
    types = sparse.columns("stg_cdp__orders")
    assert (types["coupon"], types["refunded_at"], types["gross"]) == (
        "VARCHAR",
        "TIMESTAMP",
        "DOUBLE",
    )
    assert sparse.rows(
        "select count(coupon), count(refunded_at), count(_loaded_at), count(*) from stg_cdp__orders"
    ) == [(0, 0, 5, 5)]


def test_a_missing_table_is_a_view_without_rows_and_a_line_in_the_log(sparse: Stage) -> None:
    assert sparse.rows("select count(*) from stg_cdp__events") == [(0,)]
    assert sparse.said('no table "grocery"."raw"."events"; its features are unknown (NULL)')
    assert sparse.said("fed_audience__using_events: false")


def test_zoned_timestamps_are_converted_to_utc(sparse: Stage) -> None:
    # Midnight in New York, in August.
    created = sparse.rows(
        "select distinct created_at::varchar, typeof(created_at) from stg_cdp__customers "
        "where customer_id = 'ann'"
    )
    assert created == [("2024-08-30 04:00:00", "TIMESTAMP")]


def test_without_an_identity_map_the_source_speaks_of_customers_by_their_id(
    sparse: Stage,
) -> None:
    assert sparse.rows(
        "select subject_id, rule from int_consent_current "
        "where purpose = 'train' and subject_id in ('ann', 'cat') order by 1"
    ) == [("ann", "granted"), ("cat", "denied")]

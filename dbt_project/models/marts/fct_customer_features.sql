{{ config(materialized='table', tags=['fed_prepare']) }}

{%- set counted = {
    'orders': [
        'recency_days', 'orders_30d', 'orders_90d', 'orders_365d', 'revenue_30d', 'revenue_90d',
        'revenue_365d', 'order_value_mean_90d', 'order_value_mean_365d', 'order_value_max_365d',
        'order_value_std_365d', 'gap_mean_days', 'gap_std_days', 'recency_to_gap', 'refund_rate_365d',
        'discount_share_365d', 'full_price_share_365d', 'coupon_share_365d', 'weekend_order_share_365d',
        'evening_order_share_365d',
    ],
    'baskets': [
        'units_365d', 'price_level_365d', 'categories_365d', 'category_entropy_365d',
        'top_category_share_365d', 'premium_share_365d',
    ],
    'sessions': [
        'session_recency_days', 'sessions_7d', 'sessions_30d', 'sessions_90d', 'engaged_minutes_30d',
        'engaged_minutes_90d', 'pages_per_session_90d', 'paid_session_share_90d',
        'organic_session_share_90d', 'email_session_share_90d', 'direct_session_share_90d',
        'affiliate_session_share_90d', 'mobile_session_share_90d',
    ],
    'events': [
        'views_7d', 'views_30d', 'views_90d', 'carts_7d', 'carts_30d', 'carts_90d', 'abandoned_carts_7d',
        'abandoned_carts_30d', 'abandoned_carts_90d', 'searches_30d', 'searches_90d', 'support_tickets_365d',
    ],
    'emails': [
        'email_delivered_30d', 'email_delivered_90d', 'email_click_rate_30d', 'email_click_rate_90d',
        'email_click_recency_days', 'email_unsubscribed',
    ],
} %}

-- One row a customer and cutoff. A feature is NULL where the brand cannot know it, and 0 only where
-- it looked and found nothing.
select
    spine.customer_id,
    spine.cutoff_at,
    {% for relation, features in counted.items() -%}
    {% for feature in features -%}
    cast({{ relation }}.f_{{ feature }} as {{ fed_audience.double() }}) as f_{{ feature }},
    {% endfor -%}
    {% endfor -%}
    {{ fed_audience.ratio('orders.f_orders_90d', 'events.f_views_90d') }} as f_view_to_buy_90d,
    {{ fed_audience.days_between('spine.created_at', 'spine.cutoff_at') }} as f_tenure_days,
    orders.f_preferred_channel,
    baskets.f_preferred_category,
    sessions.f_preferred_device,
    spine.country as f_country,
    case extract(quarter from {{ dbt.dateadd('month', 1, 'spine.cutoff_at') }})
        when 1 then 'winter'
        when 2 then 'spring'
        when 3 then 'summer'
        else 'autumn'
    end as f_season
from {{ ref('int_customer_spine') }} as spine
{% for relation, model in {
    'orders': ref('int_order_features'),
    'baskets': ref('int_basket_features'),
    'sessions': ref('int_session_features'),
    'events': ref('int_event_features'),
    'emails': ref('int_email_features'),
}.items() -%}
inner join {{ model }} as {{ relation }}
    on spine.customer_id = {{ relation }}.customer_id
    and spine.cutoff_at = {{ relation }}.cutoff_at
{% endfor %}

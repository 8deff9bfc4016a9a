-- What orders say of a customer at the cutoff. A cancelled order never was one. 'returned' is known
-- only by its refund: a status of today says nothing about the cutoff.
with spine as (

    select customer_id, cutoff_at from {{ ref('int_customer_spine') }}

),

presence as (

    select
        count(*) > 0 as has_orders,
        count(gross) > 0 as has_gross,
        count(discount) > 0 as has_discounts,
        count(coupon) > 0 as has_coupons,
        count(refunded_at) > 0 as has_refunds
    from {{ ref('stg_cdp__orders') }}

),

placed as (

    select
        spine.customer_id,
        spine.cutoff_at,
        orders.order_id,
        orders.ordered_at,
        orders.gross,
        coalesce(orders.discount, 0) as discount,
        orders.coupon is not null as has_coupon,
        orders.channel,
        case when orders.refunded_at < spine.cutoff_at then coalesce(orders.refunded, 0) else 0 end
            as refunded,
        {{ fed_audience.days_between('orders.ordered_at', 'spine.cutoff_at') }} as days_ago
    from spine
    inner join {{ ref('stg_cdp__orders') }} as orders
        on spine.customer_id = orders.customer_id
        and {{ fed_audience.known_at_cutoff('orders.ordered_at', 'orders._loaded_at') }}
    where coalesce(orders.status, 'completed') <> 'cancelled'

),

paced as (

    select
        placed.*,
        gross - discount - refunded as revenue,
        lead(days_ago) over (
            partition by customer_id, cutoff_at order by ordered_at desc, {{ fed_audience.in_byte_order('order_id') }} desc
        ) - days_ago as gap_days
    from placed

),

summed as (

    select
        customer_id,
        cutoff_at,
        min(days_ago) as recency_days,
        {% for days in [30, 90, 365] -%}
        count(case when days_ago <= {{ days }} then 1 end) as orders_{{ days }}d,
        sum(case when days_ago <= {{ days }} then revenue else 0 end) as revenue_{{ days }}d,
        {% endfor -%}
        max(case when days_ago <= 365 then gross - discount end) as order_value_max_365d,
        stddev_samp(case when days_ago <= 365 then gross - discount end) as order_value_std_365d,
        sum(case when days_ago <= 90 then gross - discount end) as order_value_90d,
        sum(case when days_ago <= 365 then gross - discount end) as order_value_365d,
        sum(case when days_ago <= 365 then gross end) as gross_365d,
        sum(case when days_ago <= 365 then discount end) as discount_365d,
        count(case when days_ago <= 365 and discount = 0 then 1 end) as full_price_365d,
        count(case when days_ago <= 365 and has_coupon then 1 end) as coupons_365d,
        count(case when days_ago <= 365 and refunded > 0 then 1 end) as refunds_365d,
        count(
            case when days_ago <= 365 and {{ fed_audience.is_weekend('ordered_at') }} then 1 end
        ) as weekend_365d,
        count(
            case when days_ago <= 365 and extract(hour from ordered_at) >= 18 then 1 end
        ) as evening_365d,
        avg(gap_days) as gap_mean_days,
        stddev_samp(gap_days) as gap_std_days
    from paced
    group by customer_id, cutoff_at

),

channels as (

    select
        customer_id,
        cutoff_at,
        channel,
        row_number() over (
            partition by customer_id, cutoff_at order by count(*) desc, {{ fed_audience.in_byte_order('channel') }}
        ) as place
    from placed
    where days_ago <= 365 and channel is not null
    group by customer_id, cutoff_at, channel

)

select
    spine.customer_id,
    spine.cutoff_at,
    summed.recency_days as f_recency_days,
    {% for days in [30, 90, 365] -%}
    case when presence.has_orders then coalesce(summed.orders_{{ days }}d, 0) end
        as f_orders_{{ days }}d,
    case when presence.has_gross then coalesce(summed.revenue_{{ days }}d, 0) end
        as f_revenue_{{ days }}d,
    {% endfor -%}
    {% for days in [90, 365] -%}
    {{ fed_audience.ratio('summed.order_value_' ~ days ~ 'd', 'summed.orders_' ~ days ~ 'd') }}
        as f_order_value_mean_{{ days }}d,
    {% endfor -%}
    summed.order_value_max_365d as f_order_value_max_365d,
    summed.order_value_std_365d as f_order_value_std_365d,
    summed.gap_mean_days as f_gap_mean_days,
    summed.gap_std_days as f_gap_std_days,
    {{ fed_audience.ratio('summed.recency_days', 'summed.gap_mean_days') }} as f_recency_to_gap,
    case
        when presence.has_refunds
            then {{ fed_audience.ratio('summed.refunds_365d', 'summed.orders_365d') }}
    end as f_refund_rate_365d,
    case
        when presence.has_discounts
            then {{ fed_audience.ratio('summed.discount_365d', 'summed.gross_365d') }}
    end as f_discount_share_365d,
    case
        when presence.has_discounts
            then {{ fed_audience.ratio('summed.full_price_365d', 'summed.orders_365d') }}
    end as f_full_price_share_365d,
    case
        when presence.has_coupons
            then {{ fed_audience.ratio('summed.coupons_365d', 'summed.orders_365d') }}
    end as f_coupon_share_365d,
    {{ fed_audience.ratio('summed.weekend_365d', 'summed.orders_365d') }}
        as f_weekend_order_share_365d,
    {{ fed_audience.ratio('summed.evening_365d', 'summed.orders_365d') }}
        as f_evening_order_share_365d,
    channels.channel as f_preferred_channel
from spine
cross join presence
left join summed
    on spine.customer_id = summed.customer_id and spine.cutoff_at = summed.cutoff_at
left join channels
    on spine.customer_id = channels.customer_id
    and spine.cutoff_at = channels.cutoff_at
    and channels.place = 1

{{ config(enabled=var('fed_audience__using_ga4', false)) }}

-- Purchases, each once however often the page behind it was loaded again, and the sum
-- of their refunds, known when the last of them is.
with events as (

    {{ fed_audience.ga4_events({
        'event_name': ('event_name', none, 'text'),
        'user_id': ('user_id', none, 'text'),
        'order_id': ('ecommerce', 'transaction_id', 'text'),
        'revenue': ('ecommerce', 'purchase_revenue', 'number'),
        'tax': ('ecommerce', 'tax_value', 'number'),
        'shipping': ('ecommerce', 'shipping_value', 'number'),
        'refund': ('ecommerce', 'refund_value', 'number'),
    }, params={
        'currency': ('currency', 'string_value', 'text'),
        'coupon': ('coupon', 'string_value', 'text'),
    }) }}

),

placed as (

    select
        events.*,
        row_number() over (partition by order_id order by received_at, occurred_at) as nth
    from events
    where event_name = 'purchase' and order_id not in ('', '(not set)')

),

refunded as (

    select order_id, sum(refund) as refund, max(occurred_at) as refunded_at
    from events
    where event_name = 'refund'
    group by order_id

)

select
    placed.order_id,
    placed.user_id as customer_id,
    placed.occurred_at as ordered_at,
    case when refunded.order_id is not null then 'returned' else 'completed' end as status,
    placed.revenue as gross,
    cast(null as {{ fed_audience.double() }}) as discount,
    placed.tax,
    placed.shipping,
    case when refunded.order_id is not null then coalesce(refunded.refund, placed.revenue) end as refunded,
    refunded.refunded_at,
    placed.currency,
    'web' as channel,
    placed.coupon,
    placed.received_at as _loaded_at,
    'ga4' as _source_system
from placed
left join refunded on placed.order_id = refunded.order_id
where placed.nth = 1

{{ config(enabled=var('fed_audience__using_shopify', false)) }}

-- Test orders never happened. `_fivetran_synced` moves with every change of an order, so it does not say when
-- the order arrived; a shop's order arrives as it is placed.
with orders as (

    {{ fed_audience.filled('shopify', 'order', {
        'id': 'text',
        'customer_id': 'text',
        'processed_at': 'instant',
        'created_at': 'instant',
        'cancelled_at': 'instant',
        'total_line_items_price': 'number',
        'total_discounts': 'number',
        'total_tax': 'number',
        'total_price': 'number',
        'currency': 'text',
        'source_name': 'text',
        'test': 'flag',
        '_fivetran_deleted': 'flag',
    }, required=true) }}

),

refunded as (

    select
        refunds.order_id,
        max(refunds.created_at) as refunded_at,
        sum(lines.subtotal) as refunded
    from (
        {{ fed_audience.filled('shopify', 'refund', {
            'id': 'text',
            'order_id': 'text',
            'created_at': 'instant',
        }) }}
    ) as refunds
    left join (
        {{ fed_audience.filled('shopify', 'order_line_refund', {
            'refund_id': 'text',
            'subtotal': 'number',
        }) }}
    ) as lines
        on refunds.id = lines.refund_id
    group by refunds.order_id

),

coupons as (

    select order_id, min(code) as code
    from (
        {{ fed_audience.filled('shopify', 'order_discount_code', {'order_id': 'text', 'code': 'text'}) }}
    ) as codes
    group by order_id

),

shipped as (

    select order_id, sum(price) as shipping
    from (
        {{ fed_audience.filled('shopify', 'order_shipping_line', {'order_id': 'text', 'price': 'number'}) }}
    ) as lines
    group by order_id

)

select
    orders.id as order_id,
    orders.customer_id,
    coalesce(orders.processed_at, orders.created_at) as ordered_at,
    case
        when orders.cancelled_at is not null then 'cancelled'
        when refunded.order_id is not null then 'returned'
        else 'completed'
    end as status,
    orders.total_line_items_price as gross,
    orders.total_discounts as discount,
    orders.total_tax as tax,
    shipped.shipping,
    case when refunded.order_id is not null then coalesce(refunded.refunded, 0) end as refunded,
    refunded.refunded_at,
    orders.currency,
    case orders.source_name when 'pos' then 'store' else 'web' end as channel,
    coupons.code as coupon,
    coalesce(orders.processed_at, orders.created_at) as _loaded_at,
    'shopify' as _source_system
from orders
left join refunded on orders.id = refunded.order_id
left join coupons on orders.id = coupons.order_id
left join shipped on orders.id = shipped.order_id
where not coalesce(orders.test, false)
    and not coalesce(orders._fivetran_deleted, false)

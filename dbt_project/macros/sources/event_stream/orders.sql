{#
  Orders as their events tell: placed once however often it was delivered, refunded by the sum of its
  refunds (the whole order where none names an amount), known when the last of them is. `subtotal` is after
  discount, before tax and shipping.
#}
{% macro stream_orders(mapping) %}
with told as (

    {{ fed_audience.filled(mapping, 'order_completed', {
        'id': 'text',
        'order_id': 'text',
        'customer_id': 'text',
        'ordered_at': 'instant',
        'subtotal': 'number',
        'revenue': 'number',
        'total': 'number',
        'discount': 'number',
        'tax': 'number',
        'shipping': 'number',
        'currency': 'text',
        'coupon': 'text',
        'received_at': 'instant',
    }, names={'customer_id': 'user_id', 'ordered_at': 'timestamp'}) }}

),

placed as (

    select
        deliveries.*,
        coalesce(subtotal, revenue, total - coalesce(tax, 0) - coalesce(shipping, 0)) as paid
    from (
        select
            told.*,
            row_number() over (partition by order_id order by received_at, {{ fed_audience.in_byte_order('id') }}) as nth
        from told
    ) as deliveries
    where nth = 1 and order_id is not null

),

refunded as (

    select order_id, sum(total) as refunded, max(coalesce(occurred_at, received_at)) as refunded_at
    from (
        {{ fed_audience.filled(mapping, 'order_refunded', {
            'order_id': 'text',
            'total': 'number',
            'occurred_at': 'instant',
            'received_at': 'instant',
        }, names={'occurred_at': 'timestamp'}) }}
    ) as refunds
    group by order_id

),

cancelled as (

    select distinct order_id
    from (
        {{ fed_audience.filled(mapping, 'order_cancelled', {'order_id': 'text'}) }}
    ) as cancellations

)

select
    placed.order_id,
    placed.customer_id,
    coalesce(placed.ordered_at, placed.received_at) as ordered_at,
    case
        when cancelled.order_id is not null then 'cancelled'
        when refunded.order_id is not null then 'returned'
        else 'completed'
    end as status,
    placed.paid + coalesce(placed.discount, 0) as gross,
    placed.discount,
    placed.tax,
    placed.shipping,
    case when refunded.order_id is not null then coalesce(refunded.refunded, placed.paid) end as refunded,
    refunded.refunded_at,
    placed.currency,
    'web' as channel,
    placed.coupon,
    placed.received_at as _loaded_at,
    '{{ mapping }}' as _source_system
from placed
left join refunded on placed.order_id = refunded.order_id
left join cancelled on placed.order_id = cancelled.order_id
{% endmacro %}


{# The lines of an order stand in its event as a JSON array. #}
{% macro stream_order_items(mapping) %}
with told as (

    {{ fed_audience.filled(mapping, 'order_completed', {
        'id': 'text',
        'order_id': 'text',
        'products': 'text',
        'received_at': 'instant',
    }) }}

),

placed as (

    select * from (
        select
            told.*,
            row_number() over (partition by order_id order by received_at, {{ fed_audience.in_byte_order('id') }}) as nth
        from told
    ) as deliveries
    where nth = 1 and order_id is not null

),

lines as (

    {{ fed_audience.json_rows('placed', 'products') }}

)

select
    order_id,
    cast(line as {{ dbt.type_int() }}) as line,
    {{ fed_audience.json_text('element', 'product_id') }} as product_id,
    {{ fed_audience.json_text('element', 'category') }} as category,
    coalesce(cast({{ fed_audience.json_text('element', 'quantity') }} as {{ dbt.type_int() }}), 1) as qty,
    cast({{ fed_audience.json_text('element', 'price') }} as {{ fed_audience.double() }}) as price,
    received_at as _loaded_at,
    '{{ mapping }}' as _source_system
from lines
{% endmacro %}

{{ config(enabled=var('fed_audience__using_ga4', false)) }}

with events as (

    {{ fed_audience.ga4_events({
        'event_name': ('event_name', none, 'text'),
        'order_id': ('ecommerce', 'transaction_id', 'text'),
        'items': ('items', none, 'nested'),
    }) }}

),

placed as (

    select * from (
        select events.*, row_number() over (partition by order_id order by received_at, occurred_at) as nth
        from events
        where event_name = 'purchase' and order_id not in ('', '(not set)')
    ) as purchases
    where nth = 1

),

lines as (

    {{ fed_audience.ga4_items('placed') }}

)

select
    order_id,
    cast(line as {{ dbt.type_int() }}) as line,
    cast({{ fed_audience.ga4_field('item', 'item_id') }} as {{ dbt.type_string() }}) as product_id,
    cast({{ fed_audience.ga4_field('item', 'item_category') }} as {{ dbt.type_string() }}) as category,
    coalesce(cast({{ fed_audience.ga4_field('item', 'quantity') }} as {{ dbt.type_int() }}), 1) as qty,
    cast({{ fed_audience.ga4_field('item', 'price') }} as {{ fed_audience.double() }}) as price,
    received_at as _loaded_at,
    'ga4' as _source_system
from lines

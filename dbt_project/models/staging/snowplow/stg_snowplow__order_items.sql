{{ config(enabled=var('fed_audience__using_snowplow', false)) }}

with products as (

    {{ fed_audience.filled('snowplow', 'snowplow_ecommerce_product_interactions', {
        'product_event_id': 'text',
        'transaction_id': 'text',
        'derived_tstamp': 'instant',
        'product_id': 'text',
        'product_category': 'text',
        'product_quantity': 'whole',
        'product_price': 'number',
        'is_product_transaction': 'flag',
    }) }}

)

select
    transaction_id as order_id,
    cast(row_number() over (
        partition by transaction_id order by {{ fed_audience.in_byte_order('product_event_id') }}
    ) as {{ dbt.type_int() }}) as line,
    product_id,
    product_category as category,
    coalesce(product_quantity, 1) as qty,
    product_price as price,
    derived_tstamp as _loaded_at,
    'snowplow' as _source_system
from products
where is_product_transaction and transaction_id is not null

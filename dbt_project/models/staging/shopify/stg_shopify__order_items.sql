{{ config(enabled=var('fed_audience__using_shopify', false)) }}

with lines as (

    {{ fed_audience.filled('shopify', 'order_line', {
        'id': 'text',
        'order_id': 'text',
        'product_id': 'text',
        'place': 'whole',
        'quantity': 'whole',
        'price': 'number',
    }, names={'place': 'index'}, required=true) }}

),

placed as (

    {{ fed_audience.filled('shopify', 'order', {
        'id': 'text',
        'processed_at': 'instant',
        'created_at': 'instant',
        'test': 'flag',
    }, required=true) }}

),

products as (

    {{ fed_audience.filled('shopify', 'product', {'id': 'text', 'product_type': 'text'}) }}

)

select
    lines.order_id,
    coalesce(lines.place, cast(row_number() over (
        partition by lines.order_id order by {{ fed_audience.in_byte_order('lines.id') }}
    ) as {{ dbt.type_int() }})) as line,
    lines.product_id,
    nullif(products.product_type, '') as category,
    lines.quantity as qty,
    lines.price,
    coalesce(placed.processed_at, placed.created_at) as _loaded_at,
    'shopify' as _source_system
from lines
inner join placed on lines.order_id = placed.id and not coalesce(placed.test, false)
left join products on lines.product_id = products.id

{{ config(enabled=var('fed_audience__using_shopify', false)) }}

-- A checkout that was left is all of a visit that a shop itself keeps.
with checkouts as (

    {{ fed_audience.filled('shopify', 'abandoned_checkout', {
        'id': 'text',
        'customer_id': 'text',
        'created_at': 'instant',
        '_fivetran_deleted': 'flag',
    }) }}

)

select
    'checkout:' || id as event_id,
    customer_id,
    cast(null as {{ dbt.type_string() }}) as anonymous_id,
    'add_to_cart' as event_name,
    created_at as occurred_at,
    created_at as received_at,
    cast(null as {{ dbt.type_string() }}) as properties,
    created_at as _loaded_at,
    'shopify' as _source_system
from checkouts
where not coalesce(_fivetran_deleted, false)

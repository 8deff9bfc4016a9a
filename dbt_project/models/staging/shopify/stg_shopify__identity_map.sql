{{ config(enabled=var('fed_audience__using_shopify', false)) }}

-- A shop knows its customers by one id, their own.
with customers as (

    {{ fed_audience.filled('shopify', 'customer', {'id': 'text', 'created_at': 'instant'}, required=true) }}

)

select
    'shopify' as source_system,
    id as source_id,
    id as customer_id,
    created_at as valid_from,
    cast(null as {{ dbt.type_timestamp() }}) as valid_to,
    created_at as _loaded_at,
    'shopify' as _source_system
from customers

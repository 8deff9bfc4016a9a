{{ config(enabled=var('fed_audience__using_shopify', false)) }}

-- The country is that of the customer's newest order: the connector keeps addresses apart.
with customers as (

    {{ fed_audience.filled('shopify', 'customer', {
        'id': 'text',
        'created_at': 'instant',
        'email': 'text',
        'phone': 'text',
        '_fivetran_deleted': 'flag',
    }, required=true) }}

),

addressed as (

    select
        orders.*,
        row_number() over (
            partition by customer_id order by created_at desc, {{ fed_audience.in_byte_order('id') }} desc
        ) as nth
    from (
        {{ fed_audience.filled('shopify', 'order', {
            'id': 'text',
            'customer_id': 'text',
            'created_at': 'instant',
            'country': 'text',
            'region': 'text',
        }, names={
            'country': 'shipping_address_country_code',
            'region': 'shipping_address_province_code',
        }, required=true) }}
    ) as orders
    where country is not null

)

select
    customers.id as customer_id,
    customers.created_at,
    addressed.country,
    addressed.region,
    cast(null as {{ dbt.type_int() }}) as birth_year,
    customers.email,
    customers.phone,
    cast(null as {{ dbt.type_timestamp() }}) as suppressed_at,
    customers.created_at as _loaded_at,
    'shopify' as _source_system
from customers
left join addressed on customers.id = addressed.customer_id and addressed.nth = 1
where not coalesce(customers._fivetran_deleted, false)

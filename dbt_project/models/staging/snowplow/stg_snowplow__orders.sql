{{ config(enabled=var('fed_audience__using_snowplow', false)) }}

-- Transactions of the e-commerce model. Snowplow hears of no refund and no cancellation.
with transactions as (

    {{ fed_audience.filled('snowplow', 'snowplow_ecommerce_transaction_interactions', {
        'transaction_id': 'text',
        'user_id': 'text',
        'ecommerce_user_id': 'text',
        'derived_tstamp': 'instant',
        'transaction_revenue': 'number',
        'transaction_discount_amount': 'number',
        'transaction_tax': 'number',
        'transaction_shipping': 'number',
        'transaction_currency': 'text',
        'transaction_discount_code': 'text',
    }) }}

)

select
    transaction_id as order_id,
    coalesce(user_id, ecommerce_user_id) as customer_id,
    derived_tstamp as ordered_at,
    'completed' as status,
    transaction_revenue + coalesce(transaction_discount_amount, 0) as gross,
    transaction_discount_amount as discount,
    transaction_tax as tax,
    transaction_shipping as shipping,
    cast(null as {{ fed_audience.double() }}) as refunded,
    cast(null as {{ dbt.type_timestamp() }}) as refunded_at,
    transaction_currency as currency,
    'web' as channel,
    transaction_discount_code as coupon,
    derived_tstamp as _loaded_at,
    'snowplow' as _source_system
from transactions
where transaction_id is not null

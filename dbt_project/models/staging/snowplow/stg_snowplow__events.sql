{{ config(enabled=var('fed_audience__using_snowplow', false)) }}

-- What the e-commerce model saw people look at, put into the cart and begin to pay.
with happened as (

    select product_event_id as event_id, user_id, ecommerce_user_id, domain_userid, derived_tstamp,
        case when is_product_view then 'product_view' when is_add_to_cart then 'add_to_cart' end as event_name
    from (
        {{ fed_audience.filled('snowplow', 'snowplow_ecommerce_product_interactions', {
            'product_event_id': 'text',
            'user_id': 'text',
            'ecommerce_user_id': 'text',
            'domain_userid': 'text',
            'derived_tstamp': 'instant',
            'is_product_view': 'flag',
            'is_add_to_cart': 'flag',
        }) }}
    ) as products
    union all
    select event_id, user_id, ecommerce_user_id, domain_userid, derived_tstamp,
        case when session_entered_at_step or checkout_step_number = 1 then 'checkout' end
    from (
        {{ fed_audience.filled('snowplow', 'snowplow_ecommerce_checkout_interactions', {
            'event_id': 'text',
            'user_id': 'text',
            'ecommerce_user_id': 'text',
            'domain_userid': 'text',
            'derived_tstamp': 'instant',
            'session_entered_at_step': 'flag',
            'checkout_step_number': 'whole',
        }) }}
    ) as checkouts

)

select
    event_id,
    coalesce(user_id, ecommerce_user_id) as customer_id,
    domain_userid as anonymous_id,
    event_name,
    derived_tstamp as occurred_at,
    derived_tstamp as received_at,
    cast(null as {{ dbt.type_string() }}) as properties,
    derived_tstamp as _loaded_at,
    'snowplow' as _source_system
from happened
where event_name is not null

{{ config(enabled=var('fed_audience__using_ga4', false)) }}

-- Whose a browser or device is, from the first event on that named somebody else than before.
with events as (

    {{ fed_audience.ga4_events({
        'user_id': ('user_id', none, 'text'),
        'user_pseudo_id': ('user_pseudo_id', none, 'text'),
    }) }}

),

named as (

    select
        user_pseudo_id,
        user_id,
        received_at,
        lag(user_id) over (
            partition by user_pseudo_id order by received_at, {{ fed_audience.in_byte_order('user_id') }}
        ) as user_before
    from events
    where user_id is not null and user_pseudo_id is not null

),

links as (

    select user_pseudo_id as source_id, user_id as customer_id, received_at as valid_from
    from named
    where user_id is distinct from user_before
    union all
    select user_id, user_id, min(received_at)
    from events
    where user_id is not null
    group by user_id

)

select
    'ga4' as source_system,
    source_id,
    customer_id,
    valid_from,
    cast(null as {{ dbt.type_timestamp() }}) as valid_to,
    valid_from as _loaded_at,
    'ga4' as _source_system
from links

{{ config(enabled=var('fed_audience__using_ga4', false)) }}

-- People whom an event named. GA4 knows no more of them than when they were first seen.
with events as (

    {{ fed_audience.ga4_events({'user_id': ('user_id', none, 'text')}) }}

)

select
    user_id as customer_id,
    min(occurred_at) as created_at,
    cast(null as {{ dbt.type_string() }}) as country,
    cast(null as {{ dbt.type_string() }}) as region,
    cast(null as {{ dbt.type_int() }}) as birth_year,
    cast(null as {{ dbt.type_string() }}) as email,
    cast(null as {{ dbt.type_string() }}) as phone,
    cast(null as {{ dbt.type_timestamp() }}) as suppressed_at,
    min(received_at) as _loaded_at,
    'ga4' as _source_system
from events
where user_id is not null
group by user_id

{{ config(enabled=var('fed_audience__using_snowplow', false)) }}

-- People whom a visit or the user mapping names. Snowplow knows no more of them than when and where they
-- were first seen.
with sessions as (

    {{ fed_audience.filled('snowplow', 'snowplow_unified_sessions', {
        'user_id': 'text',
        'start_tstamp': 'instant',
        'first_geo_country': 'text',
        'first_geo_region_name': 'text',
    }, required=true) }}

),

seen as (

    select * from sessions
    union all
    select user_id, end_tstamp, null, null
    from (
        {{ fed_audience.filled('snowplow', 'snowplow_unified_user_mapping', {
            'user_id': 'text',
            'end_tstamp': 'instant',
        }, required=true) }}
    ) as mapping

),

ranked as (

    select
        seen.*,
        row_number() over (
            partition by user_id order by start_tstamp, case when first_geo_country is null then 1 else 0 end
        ) as nth
    from seen
    where user_id is not null

)

select
    user_id as customer_id,
    start_tstamp as created_at,
    first_geo_country as country,
    first_geo_region_name as region,
    cast(null as {{ dbt.type_int() }}) as birth_year,
    cast(null as {{ dbt.type_string() }}) as email,
    cast(null as {{ dbt.type_string() }}) as phone,
    cast(null as {{ dbt.type_timestamp() }}) as suppressed_at,
    start_tstamp as _loaded_at,
    'snowplow' as _source_system
from ranked
where nth = 1

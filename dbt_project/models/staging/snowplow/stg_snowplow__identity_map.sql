{{ config(enabled=var('fed_audience__using_snowplow', false)) }}

-- Whose a browser or device is, from the first visit on that named somebody else than before. The user
-- mapping of the unified model keeps only the last owner; it adds those whom no visit names.
with sessions as (

    {{ fed_audience.filled('snowplow', 'snowplow_unified_sessions', {
        'user_identifier': 'text',
        'user_id': 'text',
        'session_identifier': 'text',
        'start_tstamp': 'instant',
    }, required=true) }}

),

mapping as (

    {{ fed_audience.filled('snowplow', 'snowplow_unified_user_mapping', {
        'user_identifier': 'text',
        'user_id': 'text',
        'end_tstamp': 'instant',
    }, required=true) }}

),

visits as (

    select
        user_identifier,
        user_id,
        start_tstamp,
        lag(user_id) over (
            partition by user_identifier order by start_tstamp, {{ fed_audience.in_byte_order('session_identifier') }}
        ) as user_before
    from sessions
    where user_id is not null and user_identifier is not null

),

links as (

    select user_identifier as source_id, user_id as customer_id, start_tstamp as valid_from
    from visits
    where user_id is distinct from user_before
    union all
    select mapping.user_identifier, mapping.user_id, mapping.end_tstamp
    from mapping
    left join visits
        on mapping.user_identifier = visits.user_identifier and mapping.user_id = visits.user_id
    where visits.user_id is null and mapping.user_id is not null
    union all
    select user_id, user_id, min(start_tstamp)
    from visits
    group by user_id

)

select
    'snowplow' as source_system,
    source_id,
    customer_id,
    valid_from,
    cast(null as {{ dbt.type_timestamp() }}) as valid_to,
    valid_from as _loaded_at,
    'snowplow' as _source_system
from links

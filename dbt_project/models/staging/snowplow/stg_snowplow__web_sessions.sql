{{ config(enabled=var('fed_audience__using_snowplow', false)) }}

with sessions as (

    {{ fed_audience.filled('snowplow', 'snowplow_unified_sessions', {
        'session_identifier': 'text',
        'user_id': 'text',
        'user_identifier': 'text',
        'start_tstamp': 'instant',
        'end_tstamp': 'instant',
        'default_channel_group': 'text',
        'views': 'whole',
        'engaged_time_in_s': 'whole',
        'device_category': 'text',
    }, required=true) }}

)

select
    session_identifier as session_id,
    user_id as customer_id,
    user_identifier as anonymous_id,
    start_tstamp as started_at,
    case
        when default_channel_group like 'Paid%' or default_channel_group in ('Display', 'Cross-network') then 'paid'
        when default_channel_group like 'Organic%' then 'organic'
        when default_channel_group = 'Email' then 'email'
        when default_channel_group = 'Affiliates' then 'affiliate'
        when default_channel_group = 'Direct' then 'direct'
        when default_channel_group is not null then 'referral'
    end as channel,
    views as pages,
    engaged_time_in_s as engaged_s,
    case
        when lower(device_category) in ('desktop', 'tablet') then lower(device_category)
        when lower(device_category) in ('mobile', 'phone') then 'mobile'
    end as device,
    coalesce(end_tstamp, start_tstamp) as _loaded_at,
    'snowplow' as _source_system
from sessions

{{ config(enabled=var('fed_audience__using_ga4', false)) }}

-- A visit is the events of one ga_session_id; where it came from is told by its first event.
with events as (

    {{ fed_audience.ga4_events({
        'event_name': ('event_name', none, 'text'),
        'user_id': ('user_id', none, 'text'),
        'user_pseudo_id': ('user_pseudo_id', none, 'text'),
        'medium': ('collected_traffic_source', 'manual_medium', 'text'),
        'click_id': ('collected_traffic_source', 'gclid', 'text'),
        'category': ('device', 'category', 'text'),
    }, params={
        'session': ('ga_session_id', 'int_value', 'text'),
        'page': ('page_location', 'string_value', 'text'),
        'referrer': ('page_referrer', 'string_value', 'text'),
        'engaged_ms': ('engagement_time_msec', 'int_value', 'big'),
    }) }}

),

ordered as (

    select
        events.*,
        row_number() over (
            partition by user_pseudo_id, session
            order by occurred_at, case when event_name = 'session_start' then 1 else 0 end
        ) as nth
    from events
    where user_pseudo_id is not null and session is not null

)

select
    user_pseudo_id || ':' || session as session_id,
    max(user_id) as customer_id,
    user_pseudo_id as anonymous_id,
    min(occurred_at) as started_at,
    max(case when nth = 1 then {{ fed_audience.channel_of('medium', 'page', 'referrer', 'click_id') }} end) as channel,
    cast(sum(case when event_name in ('page_view', 'screen_view') then 1 else 0 end) as {{ dbt.type_int() }}) as pages,
    cast(floor(sum(coalesce(engaged_ms, 0)) / 1000) as {{ dbt.type_int() }}) as engaged_s,
    max(case
        when nth = 1 and category in ('desktop', 'mobile', 'tablet') then category
    end) as device,
    max(received_at) as _loaded_at,
    'ga4' as _source_system
from ordered
group by user_pseudo_id, session

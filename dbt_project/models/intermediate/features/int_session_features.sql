-- What visits of the last 90 days say of a customer at the cutoff.
with spine as (

    select customer_id, cutoff_at from {{ ref('int_customer_spine') }}

),

sessions as ({{ fed_audience.resolved(ref('stg_cdp__web_sessions'), 'started_at') }}),

presence as (

    select count(*) > 0 as has_sessions, count(engaged_s) > 0 as has_engagement
    from {{ ref('stg_cdp__web_sessions') }}

),

visits as (

    select
        spine.customer_id,
        spine.cutoff_at,
        sessions.channel,
        sessions.device,
        sessions.pages,
        sessions.engaged_s,
        {{ fed_audience.days_between('sessions.started_at', 'spine.cutoff_at') }} as days_ago
    from spine
    inner join sessions
        on spine.customer_id = sessions.owner_id
        and {{ fed_audience.known_at_cutoff('sessions.started_at', 'sessions._loaded_at') }}
    where sessions.linked_at is null or sessions.linked_at < spine.cutoff_at

),

summed as (

    select
        customer_id,
        cutoff_at,
        min(days_ago) as recency_days,
        {% for days in [7, 30, 90] -%}
        count(case when days_ago <= {{ days }} then 1 end) as sessions_{{ days }}d,
        {% endfor -%}
        {% for days in [30, 90] -%}
        sum(case when days_ago <= {{ days }} then engaged_s end) as engaged_s_{{ days }}d,
        {% endfor -%}
        avg(case when days_ago <= 90 then cast(pages as {{ fed_audience.double() }}) end) as pages_mean_90d,
        count(case when days_ago <= 90 and channel is not null then 1 end) as channels_90d,
        {% for channel in ['paid', 'organic', 'email', 'direct', 'affiliate'] -%}
        count(case when days_ago <= 90 and channel = '{{ channel }}' then 1 end)
            as {{ channel }}_90d,
        {% endfor -%}
        count(case when days_ago <= 90 and device is not null then 1 end) as devices_90d,
        {% for device in ['desktop', 'mobile', 'tablet'] -%}
        count(case when days_ago <= 90 and device = '{{ device }}' then 1 end)
            as {{ device }}_90d{{ ',' if not loop.last }}
        {% endfor %}
    from visits
    group by customer_id, cutoff_at

)

select
    spine.customer_id,
    spine.cutoff_at,
    summed.recency_days as f_session_recency_days,
    {% for days in [7, 30, 90] -%}
    case when presence.has_sessions then coalesce(summed.sessions_{{ days }}d, 0) end as f_sessions_{{ days }}d,
    {% endfor -%}
    {% for days in [30, 90] -%}
    case
        when presence.has_engagement
            then {{ fed_audience.ratio('coalesce(summed.engaged_s_' ~ days ~ 'd, 0)', 60) }}
    end as f_engaged_minutes_{{ days }}d,
    {% endfor -%}
    summed.pages_mean_90d as f_pages_per_session_90d,
    {% for channel in ['paid', 'organic', 'email', 'direct', 'affiliate'] -%}
    {{ fed_audience.ratio('summed.' ~ channel ~ '_90d', 'summed.channels_90d') }}
        as f_{{ channel }}_session_share_90d,
    {% endfor -%}
    {{ fed_audience.ratio('summed.mobile_90d', 'summed.devices_90d') }} as f_mobile_session_share_90d,
    case
        when coalesce(summed.devices_90d, 0) = 0 then null
        when summed.desktop_90d >= greatest(summed.mobile_90d, summed.tablet_90d) then 'desktop'
        when summed.mobile_90d >= summed.tablet_90d then 'mobile'
        else 'tablet'
    end as f_preferred_device
from spine
cross join presence
left join summed
    on spine.customer_id = summed.customer_id and spine.cutoff_at = summed.cutoff_at

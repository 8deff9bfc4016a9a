{{ config(enabled=var('fed_audience__using_ga4', false)) }}

-- What Google's consent mode let the tag store, as the export keeps it: two of its four signals. 'Unset'
-- says nothing. An event without analytics storage has no identity, so a refusal of it is seen only where
-- the visitor had been known before.
with events as (

    {{ fed_audience.ga4_events({
        'event_name': ('event_name', none, 'text'),
        'event_timestamp': ('event_timestamp', none, 'big'),
        'user_pseudo_id': ('user_pseudo_id', none, 'text'),
        'bundle': ('event_bundle_sequence_id', none, 'big'),
        'place': ('batch_event_index', none, 'big'),
        'analytics_storage': ('privacy_info', 'analytics_storage', 'text'),
        'ad_storage': ('privacy_info', 'ads_storage', 'text'),
    }) }}

),

stated as (

    {% for flag in ['analytics_storage', 'ad_storage'] -%}
    select
        'ga4:' || {{ fed_audience.ga4_event_key() }} || ':{{ flag }}' as consent_event_id,
        'ga4' as source_system,
        user_pseudo_id as source_id,
        '{{ flag }}' as source_flag,
        case when lower({{ flag }}) = 'yes' then 'granted' else 'denied' end as status,
        'consent' as legal_basis,
        {{ fed_audience.jurisdiction_of('ga4') }} as jurisdiction,
        occurred_at as effective_at,
        received_at as recorded_at,
        'client' as time_trust,
        'google_consent_mode' as method,
        cast(null as {{ dbt.type_string() }}) as policy_version,
        false as is_act
    from events
    where lower({{ flag }}) in ('yes', 'no')
    {{ 'union all' if not loop.last }}
    {% endfor %}
)

{{ fed_audience.stated_changes('stated') }}

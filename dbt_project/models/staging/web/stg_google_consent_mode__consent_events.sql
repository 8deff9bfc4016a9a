{{ config(enabled=var('fed_audience__using_google_consent_mode', false)) }}

{%- set signals = ['ad_storage', 'analytics_storage', 'ad_user_data', 'ad_personalization'] %}

-- Updates of Google's consent mode, as a tag server or the site itself keeps them. A 'default' is what the
-- site set before anybody was asked; it is nobody's statement. An update is sent again with each page, so it
-- is heard where it changes. Anything but 'granted' and 'denied' is unknown.
with commands as (

    {{ fed_audience.filled('google_consent_mode', 'google_consent_mode', {
        'command_id': 'text',
        'source_system': 'text',
        'source_id': 'text',
        'command': 'text',
        'ad_storage': 'text',
        'analytics_storage': 'text',
        'ad_user_data': 'text',
        'ad_personalization': 'text',
        'jurisdiction': 'text',
        'policy_version': 'text',
        'occurred_at': 'instant',
        'received_at': 'instant',
    }, required=true) }}

),

stated as (

    {% for signal in signals -%}
    select
        'google_consent_mode:' || command_id || ':{{ signal }}' as consent_event_id,
        coalesce(source_system, 'web') as source_system,
        source_id,
        'google_{{ signal }}' as source_flag,
        case when lower({{ signal }}) in ('granted', 'denied') then lower({{ signal }}) else 'unknown' end as status,
        'consent' as legal_basis,
        coalesce(jurisdiction, {{ fed_audience.jurisdiction_of('google_consent_mode') }}) as jurisdiction,
        coalesce(occurred_at, received_at) as effective_at,
        received_at as recorded_at,
        'client' as time_trust,
        'google_consent_mode' as method,
        policy_version,
        false as is_act
    from commands
    where lower(command) = 'update' and {{ signal }} is not null
    {{ 'union all' if not loop.last }}
    {% endfor %}
)

{{ fed_audience.stated_changes('stated') }}

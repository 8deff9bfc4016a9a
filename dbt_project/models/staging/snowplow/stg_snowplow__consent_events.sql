{{ config(enabled=var('fed_audience__using_snowplow', false)) }}

{% set log = source('snowplow', 'snowplow_unified_consent_log') -%}
{% set scopes = (fed_audience.table_columns(log) or {}).get('consent_scopes') -%}

-- The consent log of the unified model. A scope is the flag. Only a scope that allow_all or allow_selected
-- names is granted; any other event speaks of every scope that was ever named, and grants none.
with log as (

    select told.*, {{ fed_audience.listed('scopes', scopes.data_type if scopes else '') }} as listed
    from (
        {{ fed_audience.filled('snowplow', 'snowplow_unified_consent_log', {
            'event_id': 'text',
            'user_identifier': 'text',
            'user_id': 'text',
            'derived_tstamp': 'instant',
            'load_tstamp': 'instant',
            'event_type': 'text',
            'basis_for_processing': 'text',
            'consent_version': 'text',
            'scopes': 'nested',
            'gdpr_applies': 'flag',
        }, names={'scopes': 'consent_scopes'}) }}
    ) as told
    where event_type is not null

),

known_scopes as (

    {{ fed_audience.members_of('log', 'listed') }}

),

stated as (

    select
        'snowplow:' || log.event_id || ':' || known_scopes.member as consent_event_id,
        'snowplow' as source_system,
        coalesce(log.user_identifier, log.user_id) as source_id,
        known_scopes.member as source_flag,
        case
            when log.event_type in ('allow_all', 'allow_selected') then
                case when {{ fed_audience.lists('log.listed', 'known_scopes.member') }} then 'granted' else 'denied' end
            when log.event_type = 'deny_all' then 'denied'
            when log.event_type in ('withdrawn', 'expired') then log.event_type
            else 'unknown'
        end as status,
        case log.basis_for_processing
            when 'legitimate_interests' then 'legitimate_interest'
            else coalesce(log.basis_for_processing, 'consent')
        end as legal_basis,
        case when log.gdpr_applies then 'EU' else {{ fed_audience.jurisdiction_of('snowplow') }} end as jurisdiction,
        log.derived_tstamp as effective_at,
        coalesce(log.load_tstamp, log.derived_tstamp) as recorded_at,
        'client' as time_trust,
        log.event_type as method,
        log.consent_version as policy_version,
        true as is_act
    from log
    cross join known_scopes

)

{{ fed_audience.stated_changes('stated') }}

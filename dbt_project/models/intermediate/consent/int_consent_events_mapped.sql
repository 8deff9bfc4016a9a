-- Consent events by purpose. An event that names a flag of its source instead of a purpose speaks for the
-- purposes that the brand's mapping gives that flag, and for nothing without one. A grant needs a mapping that
-- somebody approved; a refusal needs none of that.
with mapping as (

    select * from {{ ref(var('fed_audience__consent_mapping_package', 'fed_audience'), 'consent_mapping') }}

),

events as (

    select * from {{ ref('stg_cdp__consent_events') }}

)

select
    case
        when events.purpose is null then events.consent_event_id || ':' || mapping.purpose
        else events.consent_event_id
    end as consent_event_id,
    events.source_system || ':' || events.source_id as member_id,
    coalesce(events.purpose, mapping.purpose) as purpose,
    events.status,
    coalesce(mapping.legal_basis, events.legal_basis) as legal_basis,
    events.jurisdiction,
    events.effective_at,
    coalesce(events.recorded_at, events._loaded_at) as recorded_at,
    events.expires_at,
    events.time_trust,
    events.is_minor,
    events.method,
    events.policy_version,
    events.source_system
from events
left join mapping
    on events.purpose is null
    and events.source_system = mapping.source_system
    and events.source_flag = mapping.source_flag
    and (mapping.policy_version = '*' or events.policy_version = mapping.policy_version)
    and (
        coalesce(events.status, 'unknown') <> 'granted'
        or (mapping.approver is not null and mapping.approved_on is not null)
    )
where coalesce(events.purpose, mapping.purpose) is not null

-- Every consent event beside the customer it speaks for. A refusal counts for everyone its identity
-- was ever linked to; a grant only for the present owner, and only if given since they own it.
{% set mapped = fed_audience.mappings_of('identity_map') -%}
{% set using_raw = var('fed_audience__using_identity_map', true) -%}

with owners as (

    {% if using_raw or mapped -%}
    select
        member_id,
        customer_id,
        max(case when owned_until is null then 1 else 0 end) = 1 as is_owner,
        min(coalesce(owned_from, cast('1900-01-01' as {{ dbt.type_timestamp() }}))) as owned_from
    from {{ ref('int_identity_members') }}
    group by member_id, customer_id
    {%- endif %}
    {% if not using_raw -%}
    {{ 'union all' if mapped }}
    -- Without an identity map the source speaks of customers by their own id.
    select distinct
        source_system || ':' || source_id as member_id,
        source_id as customer_id,
        true as is_owner,
        cast('1900-01-01' as {{ dbt.type_timestamp() }}) as owned_from
    from {{ ref('stg_cdp__consent_events') }}
    {% if mapped -%}
    where source_system not in ({% for one in mapped %}'{{ one }}'{{ ', ' if not loop.last }}{% endfor %})
    {%- endif %}
    {%- endif %}

),

events as (

    select * from {{ ref('int_consent_events_mapped') }}

)

select
    events.consent_event_id,
    events.member_id,
    owners.customer_id as subject_id,
    events.purpose,
    events.status,
    events.legal_basis,
    events.jurisdiction,
    events.effective_at,
    events.recorded_at,
    events.expires_at,
    events.time_trust,
    events.is_minor,
    events.method,
    events.policy_version,
    events.source_system
from events
inner join owners on events.member_id = owners.member_id
where coalesce(events.status, 'unknown') <> 'granted'
    or (owners.is_owner and events.effective_at >= owners.owned_from)
union all
-- When a source without a history was looked at: the ledger is as young as that, changed or not.
select
    consent_event_id,
    cast(null as {{ dbt.type_string() }}) as member_id,
    cast(null as {{ dbt.type_string() }}) as subject_id,
    cast(null as {{ dbt.type_string() }}) as purpose,
    cast(null as {{ dbt.type_string() }}) as status,
    cast(null as {{ dbt.type_string() }}) as legal_basis,
    cast(null as {{ dbt.type_string() }}) as jurisdiction,
    observed_at as effective_at,
    observed_at as recorded_at,
    cast(null as {{ dbt.type_timestamp() }}) as expires_at,
    'server' as time_trust,
    cast(null as {{ dbt.type_boolean() }}) as is_minor,
    'snapshot' as method,
    cast(null as {{ dbt.type_string() }}) as policy_version,
    source_system
from {{ ref('stg_cdp__consent_state_changes') }}
where source_id is null

{#
  The changes that builds saw in sources without a history, as consent events: whatever a state says of its
  own date, it counts from when it was first seen.
#}
{% macro state_events() %}
select
    consent_event_id,
    source_system,
    source_id,
    purpose,
    source_flag,
    status,
    legal_basis,
    jurisdiction,
    observed_at as effective_at,
    observed_at as recorded_at,
    cast(null as {{ dbt.type_timestamp() }}) as expires_at,
    'server' as time_trust,
    is_minor,
    'snapshot' as method,
    policy_version,
    cast(null as {{ dbt.type_string() }}) as evidence_ref,
    cast(null as {{ dbt.type_string() }}) as raw_signal,
    observed_at as _loaded_at,
    source_system as _source_system
from {{ ref('fed_audience', 'stg_cdp__consent_state_changes') }}
where source_id is not null
{% endmacro %}

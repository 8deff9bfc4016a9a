{#
  What a tool was told of consent: of the rows of `stated` (the columns of stg_cdp__consent_events that a tool
  fills, and `is_act`), every act of a person, and of what is merely stated again with other events those that
  say something else than the one before them by the same identity on the same flag. To state a grant again
  does not renew it.
#}
{% macro stated_changes(stated) %}
select
    consent_event_id,
    source_system,
    source_id,
    cast(null as {{ dbt.type_string() }}) as purpose,
    source_flag,
    status,
    legal_basis,
    jurisdiction,
    effective_at,
    recorded_at,
    cast(null as {{ dbt.type_timestamp() }}) as expires_at,
    time_trust,
    cast(null as {{ dbt.type_boolean() }}) as is_minor,
    method,
    policy_version,
    cast(null as {{ dbt.type_string() }}) as evidence_ref,
    cast(null as {{ dbt.type_string() }}) as raw_signal,
    recorded_at as _loaded_at,
    source_system as _source_system
from (
    select
        stated.*,
        lag(status) over each_flag as status_before,
        lag(policy_version) over each_flag as version_before,
        row_number() over each_flag as nth
    from {{ stated }} as stated
    where source_id is not null
    window each_flag as (
        partition by source_system, source_id, source_flag
        order by recorded_at, {{ fed_audience.in_byte_order('consent_event_id') }}
    )
) as told
where is_act
    or nth = 1
    or status <> status_before
    or policy_version is distinct from version_before
{% endmacro %}

{{ config(
    materialized='incremental',
    incremental_strategy='append',
    full_refresh=false,
    on_schema_change='append_new_columns',
) }}

{% set facts = ['status', 'legal_basis', 'jurisdiction', 'is_minor', 'policy_version'] -%}

-- The history of consent of sources that keep none: what they said when a build looked, wherever it was not
-- what they had said before. It begins with the first build; nothing is taken to have been allowed before
-- that, whatever date the source gives. A state that is gone is unknown, which consents to nothing. Each
-- build leaves a row without an identity for each source that it found: that nothing changed is news, too.
with told as (

    select
        states.*,
        coalesce(purpose, '') || ':' || coalesce(source_flag, '') as topic,
        row_number() over (
            partition by source_system, source_id, purpose, source_flag
            order by case when status = 'granted' then 1 else 0 end, {{ fed_audience.in_byte_order('status') }}
        ) as strictness
    from {{ ref('stg_cdp__consent_states') }} as states
    where source_system is not null and source_id is not null

),

today as (

    select * from told where strictness = 1

),

before as (

    {% if is_incremental() -%}
    select * from (
        select
            changes.*,
            coalesce(purpose, '') || ':' || coalesce(source_flag, '') as topic,
            row_number() over (
                partition by source_system, source_id, purpose, source_flag order by observed_at desc
            ) as newest
        from {{ this }} as changes
        where source_id is not null
    ) as ranked
    where newest = 1
    {%- else -%}
    select today.*, {{ fed_audience.utc_now() }} as observed_at from today where false
    {%- endif %}

),

changed as (

    select
        today.source_system, today.source_id, today.purpose, today.source_flag, today.topic,
        {% for fact in facts %}today.{{ fact }}, {% endfor -%}
        today.stated_at
    from today
    left join before
        on today.source_system = before.source_system
        and today.source_id = before.source_id
        and today.topic = before.topic
    where before.source_id is null
        {%- for fact in facts %}
        or today.{{ fact }} is distinct from before.{{ fact }}
        {%- endfor %}
    union all
    select
        before.source_system, before.source_id, before.purpose, before.source_flag, before.topic,
        'unknown', before.legal_basis, before.jurisdiction, before.is_minor, before.policy_version,
        cast(null as {{ dbt.type_timestamp() }})
    from before
    left join today
        on before.source_system = today.source_system
        and before.source_id = today.source_id
        and before.topic = today.topic
    where today.source_id is null and before.status is distinct from 'unknown'
    union all
    select distinct
        source_system, cast(null as {{ dbt.type_string() }}), cast(null as {{ dbt.type_string() }}),
        cast(null as {{ dbt.type_string() }}), 'looked',
        cast(null as {{ dbt.type_string() }}), cast(null as {{ dbt.type_string() }}),
        cast(null as {{ dbt.type_string() }}), cast(null as {{ dbt.type_boolean() }}),
        cast(null as {{ dbt.type_string() }}), cast(null as {{ dbt.type_timestamp() }})
    from today

)

select
    'state:' || md5(
        source_system || ':' || coalesce(source_id, '') || ':' || topic || ':{{ invocation_id }}'
    ) as consent_event_id,
    source_system,
    source_id,
    purpose,
    source_flag,
    {% for fact in facts -%}
    {{ fact }},
    {% endfor -%}
    stated_at,
    {{ fed_audience.utc_now() }} as observed_at
from changed
{% if flags.EMPTY or flags.SAMPLE -%}
-- A build that reads no rows must not take them for gone.
where false
{%- endif %}

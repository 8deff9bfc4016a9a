{#
  Segment's consent object, which stands in the context of each call: a column
  context_consent_category_preferences_<category> for each category, true or false. The category is the
  flag; no column, or NULL, says nothing. Read from the tables that fed_audience__segment_consent_tables
  names: the event of a changed preference, and identifies.
#}
{% macro category_preferences(mapping) %}
{%- set prefix = 'context_consent_category_preferences_' -%}
{%- set statements = [] -%}
{%- for table in var('fed_audience__' ~ mapping ~ '_consent_tables', ['segment_consent_preference_updated', 'identifies']) -%}
    {%- set present = fed_audience.table_columns(source(mapping, table)) or {} -%}
    {%- for name in present if name.startswith(prefix) -%}
        {%- do statements.append((table, name, name[prefix | length:])) -%}
    {%- endfor -%}
{%- endfor -%}
with preferences as (

    {% for table, name, category in statements -%}
    select
        id || ':{{ category }}' as consent_event_id,
        coalesce(anonymous_id, user_id) as source_id,
        '{{ category }}' as source_flag,
        preference,
        occurred_at,
        received_at,
        {{ table == 'segment_consent_preference_updated' }} as is_act
    from (
        {{ fed_audience.filled(mapping, table, {
            'id': 'text',
            'anonymous_id': 'text',
            'user_id': 'text',
            'preference': 'flag',
            'occurred_at': 'instant',
            'received_at': 'instant',
        }, names={'preference': name, 'occurred_at': 'timestamp'}) }}
    ) as {{ table }}
    {{ 'union all' if not loop.last }}
    {% else -%}
    select
        cast(null as {{ dbt.type_string() }}) as consent_event_id,
        cast(null as {{ dbt.type_string() }}) as source_id,
        cast(null as {{ dbt.type_string() }}) as source_flag,
        cast(null as {{ dbt.type_boolean() }}) as preference,
        cast(null as {{ dbt.type_timestamp() }}) as occurred_at,
        cast(null as {{ dbt.type_timestamp() }}) as received_at,
        false as is_act
    {% endfor %}
),

stated as (

    select
        '{{ mapping }}:' || consent_event_id as consent_event_id,
        '{{ mapping }}' as source_system,
        source_id,
        source_flag,
        case when preference then 'granted' else 'denied' end as status,
        'consent' as legal_basis,
        {{ fed_audience.jurisdiction_of(mapping) }} as jurisdiction,
        coalesce(occurred_at, received_at) as effective_at,
        received_at as recorded_at,
        'client' as time_trust,
        'category_preferences' as method,
        cast(null as {{ dbt.type_string() }}) as policy_version,
        is_act
    from preferences
    where preference is not null

)

{{ fed_audience.stated_changes('stated') }}
{% endmacro %}

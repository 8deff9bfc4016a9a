{#
  RudderStack's consent object, which stands in the context of each call as two lists of ids, allowed and
  denied. The id is the flag; an id in both is denied, one in neither says nothing. Read from the tables that
  fed_audience__rudderstack_consent_tables names: the event of trackConsent(), and identifies.
#}
{% macro allowed_ids(mapping) %}
{%- set prefix = 'context_consent_management_' -%}
with calls as (

    {% for table in var(
        'fed_audience__' ~ mapping ~ '_consent_tables', ['consent_management_interaction', 'identifies']
    ) -%}
    {%- set present = fed_audience.table_columns(source(mapping, table)) or {} -%}
    select
        id,
        coalesce(anonymous_id, user_id) as source_id,
        occurred_at,
        received_at,
        provider,
        {{ table == 'consent_management_interaction' }} as is_act,
        {% for list in ['allowed', 'denied'] -%}
        {%- set column = present.get(prefix ~ list ~ '_consent_ids') -%}
        {{ fed_audience.listed(list, column.data_type if column else '') }} as {{ list }}{{ ',' if not loop.last }}
        {% endfor %}
    from (
        {{ fed_audience.filled(mapping, table, {
            'id': 'text',
            'anonymous_id': 'text',
            'user_id': 'text',
            'occurred_at': 'instant',
            'received_at': 'instant',
            'provider': 'text',
            'allowed': 'nested',
            'denied': 'nested',
        }, names={
            'occurred_at': 'timestamp',
            'provider': prefix ~ 'provider',
            'allowed': prefix ~ 'allowed_consent_ids',
            'denied': prefix ~ 'denied_consent_ids',
        }) }}
    ) as {{ table }}
    {{ 'union all' if not loop.last }}
    {% endfor %}
),

ids as (

    {{ fed_audience.members_of('calls', "coalesce(allowed, ',') || coalesce(denied, ',')") }}

),

stated as (

    select
        '{{ mapping }}:' || calls.id || ':' || ids.member as consent_event_id,
        '{{ mapping }}' as source_system,
        calls.source_id,
        ids.member as source_flag,
        case when {{ fed_audience.lists('calls.denied', 'ids.member') }} then 'denied' else 'granted' end as status,
        'consent' as legal_basis,
        {{ fed_audience.jurisdiction_of(mapping) }} as jurisdiction,
        coalesce(calls.occurred_at, calls.received_at) as effective_at,
        calls.received_at as recorded_at,
        'client' as time_trust,
        calls.provider as method,
        cast(null as {{ dbt.type_string() }}) as policy_version,
        calls.is_act
    from calls
    inner join ids
        on {{ fed_audience.lists('calls.allowed', 'ids.member') }}
        or {{ fed_audience.lists('calls.denied', 'ids.member') }}

)

{{ fed_audience.stated_changes('stated') }}
{% endmacro %}

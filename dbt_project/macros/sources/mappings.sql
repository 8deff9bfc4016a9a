{#
  The raw tables that each mapping provides. A mapping is on with `fed_audience__using_<mapping>: true`;
  its views stg_<mapping>__<table> then stand beside the raw table, in the order of this list: where two
  tell of one customer, the first is believed.
#}
{% macro mappings() %}
    {%- set stream = [
        'customers', 'identity_map', 'orders', 'order_items', 'events', 'web_sessions', 'email_engagement', 'consent_events',
    ] -%}
    {{- return({
        'shopify': ['customers', 'identity_map', 'orders', 'order_items', 'events', 'consent_states'],
        'segment': stream,
        'rudderstack': stream,
        'snowplow': ['customers', 'identity_map', 'orders', 'order_items', 'events', 'web_sessions', 'consent_events'],
        'ga4': ['customers', 'identity_map', 'orders', 'order_items', 'events', 'web_sessions', 'consent_events'],
        'google_consent_mode': ['consent_events'],
        'gpc': ['consent_events'],
    }) -}}
{% endmacro %}


{% macro using_mapping(mapping) %}{{ return(var('fed_audience__using_' ~ mapping, false)) }}{% endmacro %}


{#
  The mappings that are on and provide `table`, or those of them that `fed_audience__<table>_from` names.
  Two that tell of the same orders or visits would count them twice, so the brand says which to take.
#}
{% macro mappings_of(table) %}
    {%- set able = [] -%}
    {%- for mapping, tables in fed_audience.mappings().items() if table in tables -%}
        {%- do able.append(mapping) -%}
    {%- endfor -%}
    {%- set on = [] -%}
    {%- for mapping in able if fed_audience.using_mapping(mapping) -%}
        {%- do on.append(mapping) -%}
    {%- endfor -%}
    {%- set chosen = var('fed_audience__' ~ table ~ '_from', none) -%}
    {%- if chosen is none and on | length > 1 and table in ['orders', 'order_items', 'events', 'web_sessions'] and execute -%}
        {%- do exceptions.raise_compiler_error(
            'fed_audience: ' ~ on | join(' and ') ~ (' both' if on | length == 2 else ' all') ~ ' provide ' ~ table ~ ', which could count them twice. Say which to take: '
            ~ 'fed_audience__' ~ table ~ '_from: [' ~ on[0] ~ '], or all of them if none tells of the same.'
        ) -%}
    {%- endif -%}
    {%- if chosen is none -%}
        {{- return(on) -}}
    {%- endif -%}
    {%- set taken = [] -%}
    {%- for mapping in chosen -%}
        {%- if mapping not in on and execute -%}
            {%- do exceptions.raise_compiler_error(
                'fed_audience__' ~ table ~ "_from names '" ~ mapping ~ "', "
                ~ ('which is not on: set fed_audience__using_' ~ mapping ~ ': true' if mapping in able
                   else 'which does not provide it; these do: ' ~ able | join(', ')) ~ '.'
            ) -%}
        {%- endif -%}
        {%- if mapping in on -%}
            {%- do taken.append(mapping) -%}
        {%- endif -%}
    {%- endfor -%}
    {{- return(taken) -}}
{% endmacro %}


{# The switches that would provide `table`, as words for an error. #}
{% macro switches_for(table) %}
    {%- set switches = [] -%}
    {%- for mapping, tables in fed_audience.mappings().items() if table in tables -%}
        {%- do switches.append('fed_audience__using_' ~ mapping) -%}
    {%- endfor -%}
    {{- return(switches | join(', ')) -}}
{% endmacro %}


{# What law the people of a mapping live under, where its rows do not say: none is ZZ, the strictest. #}
{% macro jurisdiction_of(mapping) -%}
    {%- set said = var('fed_audience__' ~ mapping ~ '_jurisdiction', none) -%}
    cast({{ "'" ~ said ~ "'" if said else 'null' }} as {{ dbt.type_string() }})
{%- endmacro %}

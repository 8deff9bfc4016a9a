{#
  Events of a GA4 export, some of their fields flat. `fields` is name -> (column, field within it or none,
  kind), `params` is name -> (event parameter, its type of value, kind). A column or field that an export lacks
  (older ones lack several) is a typed NULL. `occurred_at` and `received_at` are always there: an event is
  uploaded event_server_timestamp_offset microseconds after it was logged.
#}
{% macro ga4_events(fields, params={}) %}
    {%- set wanted = source('ga4', 'events') -%}
    {%- set present = fed_audience.table_columns(wanted) -%}
    {%- if present is none -%}
        {%- do fed_audience.refuse_missing('ga4', 'events', 'Make it a view of all events_* of the export') -%}
    {%- endif -%}
    {%- set time = fed_audience.staged_column('event_timestamp', 'big', present) -%}
    {%- set delay = fed_audience.staged_column('event_server_timestamp_offset', 'big', present) -%}
select
    {{ fed_audience.from_epoch_micros(time) }} as occurred_at,
    {{ fed_audience.from_epoch_micros('(' ~ time ~ ' + coalesce(' ~ delay ~ ', 0))') }} as received_at
    {%- for name, (column, field, kind) in fields.items() %},
    {{ fed_audience.ga4_column(column, field, kind, present) }} as {{ name }}
    {%- endfor %}
    {%- for name, (param, value, kind) in params.items() %},
    {% if present is none or 'event_params' not in present -%}
        cast(null as {{ fed_audience.column_type(kind) }})
    {%- else -%}
        cast({{ fed_audience.ga4_param(param, value) }} as {{ fed_audience.column_type(kind) }})
    {%- endif %} as {{ name }}
    {%- endfor %}
{% if present is not none -%}
from {{ wanted }}
{%- else -%}
from (select 1 as nothing) as absent where false -- {{ wanted }}
{%- endif %}
{% endmacro %}


{% macro ga4_column(column, field, kind, present) -%}
    {%- set type = present[column].data_type | lower if present and column in present else '' -%}
    {%- if kind == 'nested' or field is none -%}
        {{- fed_audience.filled_column(column, kind, present) -}}
    {%- elif not type or ('struct' in type and field not in type) -%}
        cast(null as {{ fed_audience.column_type(kind) }})
    {%- else -%}
        cast({{ fed_audience.ga4_field(column, field) }} as {{ fed_audience.column_type(kind) }})
    {%- endif -%}
{%- endmacro %}


{# A field of a record: a struct, or JSON on PostgreSQL. #}
{% macro ga4_field(column, field) %}{{ return(adapter.dispatch('ga4_field', 'fed_audience')(column, field)) }}{% endmacro %}

{% macro default__ga4_field(column, field) %}{{ column }}.{{ field }}{% endmacro %}

{% macro postgres__ga4_field(column, field) %}({{ column }} ->> '{{ field }}'){% endmacro %}


{# A parameter of an event; `value` is string_value, int_value, float_value or double_value. #}
{% macro ga4_param(param, value) %}{{ return(adapter.dispatch('ga4_param', 'fed_audience')(param, value)) }}{% endmacro %}

{% macro default__ga4_param(param, value) -%}
    (select pair.value.{{ value }} from unnest(event_params) as pair where pair.key = '{{ param }}' limit 1)
{%- endmacro %}

{% macro duckdb__ga4_param(param, value) -%}
    (select pair.value.{{ value }} from (select unnest(event_params) as pair) where pair.key = '{{ param }}' limit 1)
{%- endmacro %}

{% macro postgres__ga4_param(param, value) -%}
    (
        select pair -> 'value' ->> '{{ value }}'
        from jsonb_array_elements(event_params) as pair
        where pair ->> 'key' = '{{ param }}'
        limit 1
    )
{%- endmacro %}


{# The rows of `relation`, each once for every member of its list of records `items`, as `item`, from `line` 1. #}
{% macro ga4_items(relation) %}{{ return(adapter.dispatch('ga4_items', 'fed_audience')(relation)) }}{% endmacro %}

{% macro default__ga4_items(relation) -%}
select held.*, item, place + 1 as line
from {{ relation }} as held cross join unnest(held.items) as item with offset as place
{%- endmacro %}

{% macro duckdb__ga4_items(relation) -%}
select *, unnest(items) as item, generate_subscripts(items, 1) as line from {{ relation }}
{%- endmacro %}

{% macro postgres__ga4_items(relation) -%}
select held.*, elements.item, elements.line
from {{ relation }} as held
cross join lateral jsonb_array_elements(held.items) with ordinality as elements (item, line)
{%- endmacro %}


{# A GA4 event has no key; what it has tells it apart. #}
{% macro ga4_event_key() -%}
    user_pseudo_id || ':' || cast(event_timestamp as {{ dbt.type_string() }}) || ':' || event_name
    || ':' || coalesce(cast(bundle as {{ dbt.type_string() }}), '') || ':' || coalesce(cast(place as {{ dbt.type_string() }}), '')
{%- endmacro %}

{#
  The select of a staging view over raw table `table`: every column of `columns` (name -> kind:
  text, number, whole, flag, instant), cast; what the brand lacks becomes a typed NULL; a table that
  is absent, or switched off with `fed_audience__using_<table>: false`, becomes no rows.

  `occurred` is the column that dates a row. A row without `_loaded_at` is taken to have arrived
  when it occurred.
#}
{% macro staged(table, columns, occurred) %}
    {%- set columns = dict(columns, _loaded_at='instant', _source_system='text') -%}
    {%- set present = fed_audience.raw_columns(table) -%}
select
    {%- for name, kind in columns.items() %}
    {% if name == '_loaded_at' and occurred -%}
        coalesce({{ fed_audience.staged_column(name, kind, present) }}, {{ fed_audience.staged_column(occurred, kind, present) }}) as {{ name }}
    {%- else -%}
        {{ fed_audience.staged_column(name, kind, present) }} as {{ name }}
    {%- endif -%}
    {{ ',' if not loop.last }}
    {%- endfor %}
{% if present is not none -%}
from {{ source('cdp', table) }}
{%- else -%}
from (select 1 as nothing) as absent where false -- {{ source('cdp', table) }}
{%- endif %}
{% endmacro %}


{% macro staged_column(name, kind, present) -%}
    {%- set type = fed_audience.column_type(kind) -%}
    {%- if present is none or name not in present -%}
        cast(null as {{ type }})
    {%- elif kind == 'instant' -%}
        {{ fed_audience.in_utc(adapter.quote(present[name].name), present[name].data_type) }}
    {%- else -%}
        cast({{ adapter.quote(present[name].name) }} as {{ type }})
    {%- endif -%}
{%- endmacro %}


{% macro column_type(kind) -%}
    {%- set types = {
        'text': dbt.type_string(),
        'number': 'double precision',
        'whole': dbt.type_int(),
        'flag': dbt.type_boolean(),
        'instant': dbt.type_timestamp(),
    } -%}
    {{- types[kind] -}}
{%- endmacro %}


{#
  The columns of a raw table by lower-case name, or none when the brand lacks the table or has
  switched it off. Read from the warehouse while the view is built, so no brand lists its columns.
#}
{% macro raw_columns(table) %}
    {%- if not execute or not var('fed_audience__using_' ~ table, true) -%}
        {{- return(none) -}}
    {%- endif -%}
    {%- set wanted = source('cdp', table) -%}
    {%- set relation = load_relation(wanted) -%}
    {%- if relation is none -%}
        {%- do log(
            'fed_audience: no table ' ~ wanted ~ '; its features are unknown (NULL). Load it, point '
            ~ 'fed_audience__raw_schema at it, or silence this with fed_audience__using_' ~ table ~ ': false.',
            info=flags.WHICH in ('run', 'build')
        ) -%}
        {{- return(none) -}}
    {%- endif -%}
    {%- set present = {} -%}
    {%- for column in adapter.get_columns_in_relation(relation) -%}
        {%- do present.update({column.name | lower: column}) -%}
    {%- endfor -%}
    {{- return(present) -}}
{% endmacro %}


{# A column as a UTC timestamp without zone; offsets are converted, never dropped. #}
{% macro in_utc(column, data_type) %}{{ return(adapter.dispatch('in_utc', 'fed_audience')(column, data_type)) }}{% endmacro %}

{% macro default__in_utc(column, data_type) -%}
    {%- if 'zone' in data_type | lower and 'without' not in data_type | lower -%}
        cast({{ column }} at time zone 'UTC' as {{ dbt.type_timestamp() }})
    {%- elif 'char' in data_type | lower or 'text' in data_type | lower -%}
        cast(cast({{ column }} as timestamp with time zone) at time zone 'UTC' as {{ dbt.type_timestamp() }})
    {%- else -%}
        cast({{ column }} as {{ dbt.type_timestamp() }})
    {%- endif -%}
{%- endmacro %}

{# PostgreSQL drops the offset in that cast, and takes a text without one to be in the zone of the session. #}
{% macro postgres__in_utc(column, data_type) -%}
    {%- if 'char' in data_type | lower or data_type | lower == 'text' -%}
        case
            when {{ column }} ~ ':[0-9]{2}([.][0-9]+)? *(Z|[+-][0-9]{2}(:?[0-9]{2})?)$'
                then cast({{ column }} as timestamp with time zone) at time zone 'UTC'
            else cast({{ column }} as timestamp)
        end
    {%- else -%}
        {{- fed_audience.default__in_utc(column, data_type) -}}
    {%- endif -%}
{%- endmacro %}

{#
  DuckDB drops the offset when it casts text to a timestamp; the epoch of a zoned one needs no ICU. Of
  offsets it reads only those with a colon and without a space.
#}
{% macro duckdb__in_utc(column, data_type) -%}
    {%- if 'zone' in data_type | lower -%}
        make_timestamp(epoch_us({{ column }}))
    {%- elif 'char' in data_type | lower -%}
        case
            when regexp_matches({{ column }}, ':[0-9]{2}([.][0-9]+)? *(Z|[+-][0-9]{2}(:?[0-9]{2})?)$')
                then make_timestamp(epoch_us(cast(
                    regexp_replace({{ column }}, ' *([+-][0-9]{2}):?([0-9]{2})$', '\1:\2') as timestamptz
                )))
            else cast({{ column }} as timestamp)
        end
    {%- else -%}
        cast({{ column }} as timestamp)
    {%- endif -%}
{%- endmacro %}

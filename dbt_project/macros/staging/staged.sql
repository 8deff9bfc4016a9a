{#
  The select of a staging view over raw table `table`: every column of `columns` (name -> kind:
  text, number, whole, flag, instant), cast; what the brand lacks becomes a typed NULL; a table that
  is absent, or switched off with `fed_audience__using_<table>: false`, becomes no rows. The mappings
  that are on and provide the table follow it; of rows with the same `key` the first stays.

  `occurred` is the column that dates a row. A row without `_loaded_at` is taken to have arrived
  when it occurred.
#}
{% macro staged(table, columns, occurred, key=none) %}
    {%- set columns = dict(columns, _loaded_at='instant', _source_system='text') -%}
    {%- set present = fed_audience.raw_columns(table) -%}
    {%- set provided = fed_audience.mappings_of(table) -%}
    {%- set names = columns.keys() | list -%}
{% if key and provided -%}
select
    {{ names | join(',\n    ') }}
from (
select *, row_number() over (partition by {{ key }} order by believed, coalesce(_loaded_at, {{ occurred }})) as nth
from (
{% endif -%}
select
    {%- for name, kind in columns.items() %}
    {% if name == '_loaded_at' and occurred -%}
        coalesce({{ fed_audience.staged_column(name, kind, present) }}, {{ fed_audience.staged_column(occurred, kind, present) }}) as {{ name }}
    {%- else -%}
        {{ fed_audience.staged_column(name, kind, present) }} as {{ name }}
    {%- endif -%}
    {{ ',' if not loop.last }}
    {%- endfor %}
    {%- if key and provided %}, 0 as believed{% endif %}
{% if present is not none -%}
from {{ source('cdp', table) }}
{%- else -%}
from (select 1 as nothing) as absent where false -- {{ source('cdp', table) }}
{%- endif %}
{% for mapping in provided -%}
union all
select
    {{ names | join(',\n    ') }}{% if key %}, {{ loop.index }} as believed{% endif %}
from {{ ref('fed_audience', 'stg_' ~ mapping ~ '__' ~ table) }}
{% endfor -%}
{% if key and provided -%}
) as told
) as ranked
where nth = 1
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
        'number': fed_audience.double(),
        'whole': dbt.type_int(),
        'big': dbt.type_bigint(),
        'flag': dbt.type_boolean(),
        'instant': dbt.type_timestamp(),
    } -%}
    {{- types[kind] -}}
{%- endmacro %}


{#
  The columns of a raw table by lower-case name, or none when the brand lacks the table or has
  switched it off. Read from the warehouse while the view is built, so no brand lists its columns.
  Nothing works without customers, without consent, or with neither orders nor events: their absence
  is an error, as is that of a column that every row needs; that of another table is a line in the log.
#}
{% macro raw_columns(table) %}
    {%- if not execute -%}
        {{- return(none) -}}
    {%- endif -%}
    {%- set wanted = source('cdp', table) -%}
    {%- set using = var('fed_audience__using_' ~ table, true) -%}
    {%- set present = fed_audience.table_columns(wanted) if using else none -%}
    {%- if present is none and flags.WHICH in ('run', 'build') and not fed_audience.is_provided(table) -%}
        {%- set remedy = 'Load it, point fed_audience__raw_schema at it, or turn on a mapping that provides it ('
            ~ fed_audience.switches_for(table) ~ ')' -%}
        {%- if fed_audience.is_needed(table) -%}
            {%- do exceptions.raise_compiler_error(
                'fed_audience: no table ' ~ fed_audience.full_name(wanted)
                ~ (", and none with events either" if table == 'orders' else '')
                ~ ('' if using else ' (fed_audience__using_' ~ table ~ ' is false)') ~ '. ' ~ remedy ~ '.'
            ) -%}
        {%- elif using and table != 'consent_states' -%}
            {%- do log(
                'fed_audience: no table ' ~ fed_audience.full_name(wanted) ~ '; its features are unknown (NULL). ' ~ remedy
                ~ ', or silence this with fed_audience__using_' ~ table ~ ': false.',
                info=true
            ) -%}
        {%- endif -%}
    {%- endif -%}
    {%- if present is not none and flags.WHICH in ('run', 'build') -%}
        {%- do fed_audience.refuse_unusable(table, wanted, present) -%}
    {%- endif -%}
    {{- return(present) -}}
{% endmacro %}


{# Whether a mapping that is on provides the table. #}
{% macro is_provided(table) %}
    {%- set provided = fed_audience.mappings_of(table) | length > 0 -%}
    {%- if table == 'consent_events' -%}
        {%- set provided = provided or fed_audience.is_there('consent_states') -%}
    {%- endif -%}
    {{- return(provided) -}}
{% endmacro %}


{# Whether a brand has the table, as its own or by a mapping. #}
{% macro is_there(table) %}
    {{- return(
        fed_audience.mappings_of(table) | length > 0
        or (var('fed_audience__using_' ~ table, true) and load_relation(source('cdp', table)) is not none)
    ) -}}
{% endmacro %}


{% macro is_needed(table) %}
    {{- return(
        table in ('customers', 'consent_events')
        or (table == 'orders' and not fed_audience.is_there('events'))
    ) -}}
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

{# A timestamp of Snowflake with a zone, or a text that may name one, is turned; the others are UTC. #}
{% macro snowflake__in_utc(column, data_type) -%}
    {%- if 'tz' in data_type | lower and 'ntz' not in data_type | lower or 'zone' in data_type | lower -%}
        cast(convert_timezone('UTC', {{ column }}) as timestamp_ntz)
    {%- elif 'char' in data_type | lower or 'text' in data_type | lower -%}
        case
            when regexp_like({{ column }}, '.*:[0-9]{2}([.][0-9]+)? *(Z|[+-][0-9]{2}(:?[0-9]{2})?)')
                then cast(convert_timezone('UTC', to_timestamp_tz({{ column }})) as timestamp_ntz)
            else to_timestamp_ntz({{ column }})
        end
    {%- else -%}
        cast({{ column }} as timestamp_ntz)
    {%- endif -%}
{%- endmacro %}

{# A timestamp of BigQuery is an instant, and text without an offset is taken to be in UTC. #}
{% macro bigquery__in_utc(column, data_type) %}cast({{ column }} as timestamp){% endmacro %}

{# As on BigQuery, in a session whose zone is UTC: set spark.sql.session.timeZone. #}
{% macro spark__in_utc(column, data_type) %}cast({{ column }} as timestamp){% endmacro %}

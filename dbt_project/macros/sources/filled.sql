{#
  The select of a tool's table with the columns that a mapping reads: `columns` is name -> kind as in
  `staged`, or `nested` for what is passed on as it is; `names` says what the tool calls a column that
  we call otherwise. A column that it lacks is a typed NULL; a table that it lacks has no rows, or is an
  error where the mapping cannot do without it (`required`).
#}
{% macro filled(mapping, table, columns, names={}, required=false) %}
    {%- set present = fed_audience.table_columns(source(mapping, table)) -%}
    {%- if present is none and required -%}
        {%- do fed_audience.refuse_missing(mapping, table) -%}
    {%- endif -%}
select
    {%- for name, kind in columns.items() %}
    {{ fed_audience.filled_column(names.get(name, name), kind, present) }} as {{ name }}{{ ',' if not loop.last }}
    {%- endfor %}
{% if present is not none -%}
from {{ source(mapping, table) }}
{%- else -%}
from (select 1 as nothing) as absent where false -- {{ source(mapping, table) }}
{%- endif %}
{% endmacro %}


{% macro filled_column(name, kind, present) -%}
    {%- if kind != 'nested' -%}
        {{- fed_audience.staged_column(name, kind, present) -}}
    {%- elif present is none or name not in present -%}
        cast(null as {{ dbt.type_string() }})
    {%- else -%}
        {{- adapter.quote(present[name].name) -}}
    {%- endif -%}
{%- endmacro %}


{# Stop a build whose mapping cannot do without a table that is not there. #}
{% macro refuse_missing(mapping, table, remedy='Load it') %}
    {%- if execute and flags.WHICH in ('run', 'build') -%}
        {%- do exceptions.raise_compiler_error(
            'fed_audience__using_' ~ mapping ~ ' is on, but there is no table '
            ~ fed_audience.full_name(source(mapping, table)) ~ '. ' ~ remedy ~ ', point fed_audience__' ~ mapping
            ~ '_schema (or fed_audience__' ~ mapping ~ '_' ~ table ~ ", the table's name) at it, or turn "
            ~ 'fed_audience__using_' ~ mapping ~ ' off.'
        ) -%}
    {%- endif -%}
{% endmacro %}


{# A relation's name for an error, also in a build with --empty, which puts a query in its place. #}
{% macro full_name(relation) %}
    {{- return(api.Relation.create(
        database=relation.database, schema=relation.schema, identifier=relation.identifier
    ) | string) -}}
{% endmacro %}


{# The columns of a relation by lower-case name, or none where there is no such relation. #}
{% macro table_columns(wanted) %}
    {%- set relation = load_relation(wanted) if execute else none -%}
    {%- if relation is none -%}
        {{- return(none) -}}
    {%- endif -%}
    {%- set present = {} -%}
    {%- for column in adapter.get_columns_in_relation(relation) -%}
        {%- do present.update({column.name | lower: column}) -%}
    {%- endfor -%}
    {{- return(present) -}}
{% endmacro %}

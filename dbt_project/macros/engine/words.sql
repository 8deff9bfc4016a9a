{# Eight bytes of floating point: what features and scores are. #}
{% macro double() %}{{ return(adapter.dispatch('double', 'fed_audience')()) }}{% endmacro %}

{% macro default__double() %}double precision{% endmacro %}

{% macro bigquery__double() %}float64{% endmacro %}

{% macro spark__double() %}double{% endmacro %}


{# Text as the contracts of the marts name it. #}
{% macro text() %}{{ return(adapter.dispatch('text', 'fed_audience')()) }}{% endmacro %}

{% macro default__text() %}varchar{% endmacro %}

{% macro bigquery__text() %}string{% endmacro %}

{% macro spark__text() %}string{% endmacro %}


{#
  A statement that creates a control table, in the words of the engine; it is written in those that DuckDB,
  PostgreSQL and Snowflake share. BigQuery does not enforce keys and Spark takes none, where the table
  must be of Delta, as requests are updated.
#}
{% macro in_this_engine(statement) %}{{ return(adapter.dispatch('in_this_engine', 'fed_audience')(statement)) }}{% endmacro %}

{% macro default__in_this_engine(statement) %}{{ return(statement) }}{% endmacro %}

{% macro bigquery__in_this_engine(statement) -%}
    {%- set statement = modules.re.sub('(primary key [^)]*.)', '\\1 not enforced', statement) -%}
    {{- return(
        statement | replace('varchar', 'string') | replace('double precision', 'float64')
        | replace('bigint', 'int64') | replace('integer', 'int64') | replace('boolean', 'bool')
    ) -}}
{%- endmacro %}

{% macro spark__in_this_engine(statement) -%}
    {%- set statement = modules.re.sub(',\\s*primary key [^)]*.', '', statement) -%}
    {{- return(statement | replace('varchar', 'string') | replace('double precision', 'double') ~ ' using delta') -}}
{%- endmacro %}

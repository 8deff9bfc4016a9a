{#
  A list as text without brackets, quotes or spaces, its members between commas with one at either end:
  ',analytics,ads,'. Tools keep such lists as arrays, as JSON or as words with commas.
#}
{% macro listed(column, data_type) -%}
    {%- set text = 'array_to_string(' ~ column ~ ", ',')" if '[' in data_type or 'array' in data_type | lower else column -%}
    (',' || translate({{ text }}, '[]" ', '') || ',')
{%- endmacro %}


{# Whether such a list has the member; no pattern, as an id may hold one. #}
{% macro lists(list, member) -%}
    ({{ dbt.position("',' || " ~ member ~ " || ','", list) }} > 0)
{%- endmacro %}


{# Every member of such a list, a row each, as `member`. #}
{% macro members_of(relation, list) %}{{ return(adapter.dispatch('members_of', 'fed_audience')(relation, list)) }}{% endmacro %}

{% macro default__members_of(relation, list) -%}
select distinct member
from (select unnest(string_to_array({{ list }}, ',')) as member from {{ relation }}) as listed
where member <> ''
{%- endmacro %}

{% macro bigquery__members_of(relation, list) -%}
select distinct member
from {{ relation }} cross join unnest(split({{ list }}, ',')) as member
where member <> ''
{%- endmacro %}

{% macro snowflake__members_of(relation, list) -%}
select distinct cast(listed.value as varchar) as member
from {{ relation }}, lateral flatten(input => split({{ list }}, ',')) as listed
where listed.value <> ''
{%- endmacro %}

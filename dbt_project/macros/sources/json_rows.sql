{#
  The rows of `relation`, each once for every element of the JSON array in its column `array` (text), with
  `element` and its number `line`, from 1. `json_text` reads a property of such an element as text.
#}
{% macro json_rows(relation, array) %}{{ return(adapter.dispatch('json_rows', 'fed_audience')(relation, array)) }}{% endmacro %}

{% macro default__json_rows(relation, array) -%}
    {%- if execute -%}
        {%- do exceptions.raise_compiler_error(
            'fed_audience: order lines cannot be read from JSON on ' ~ target.type
            ~ ' yet. Load them as raw table order_items and set fed_audience__order_items_from: [].'
        ) -%}
    {%- endif -%}
{%- endmacro %}

{% macro duckdb__json_rows(relation, array) -%}
select *, unnest(elements) as element, generate_subscripts(elements, 1) as line
from (select *, cast({{ array }} as json[]) as elements from {{ relation }})
{%- endmacro %}

{% macro postgres__json_rows(relation, array) -%}
select held.*, elements.element, elements.line
from {{ relation }} as held
cross join lateral jsonb_array_elements(cast(held.{{ array }} as jsonb)) with ordinality as elements (element, line)
{%- endmacro %}

{% macro bigquery__json_rows(relation, array) -%}
select held.*, element, place + 1 as line
from {{ relation }} as held
cross join unnest(json_query_array(held.{{ array }})) as element with offset as place
{%- endmacro %}

{% macro snowflake__json_rows(relation, array) -%}
select held.*, elements.value as element, elements.index + 1 as line
from {{ relation }} as held,
lateral flatten(input => parse_json(held.{{ array }})) as elements
{%- endmacro %}


{% macro json_text(element, key) %}{{ return(adapter.dispatch('json_text', 'fed_audience')(element, key)) }}{% endmacro %}

{% macro default__json_text(element, key) %}({{ element }} ->> '{{ key }}'){% endmacro %}

{% macro bigquery__json_text(element, key) %}json_value({{ element }}, '$.{{ key }}'){% endmacro %}

{% macro snowflake__json_text(element, key) %}{{ element }}:{{ key }}::varchar{% endmacro %}

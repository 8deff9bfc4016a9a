{# A share or mean as a double; NULL where there is nothing to divide by. #}
{% macro ratio(part, whole) -%}
    (cast({{ part }} as double precision) / nullif({{ whole }}, 0))
{%- endmacro %}

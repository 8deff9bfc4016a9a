{# A share or mean as a double; NULL where there is nothing to divide by. #}
{% macro ratio(part, whole) -%}
    (cast({{ part }} as {{ fed_audience.double() }}) / nullif({{ whole }}, 0))
{%- endmacro %}

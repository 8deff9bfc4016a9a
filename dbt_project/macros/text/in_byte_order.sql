{# Text as an order by takes it, the same on every engine: by code points, not by the order of a language. #}
{% macro in_byte_order(column) %}{{ return(adapter.dispatch('in_byte_order', 'fed_audience')(column)) }}{% endmacro %}

{% macro default__in_byte_order(column) %}{{ column }}{% endmacro %}

{% macro postgres__in_byte_order(column) %}{{ column }} collate "C"{% endmacro %}

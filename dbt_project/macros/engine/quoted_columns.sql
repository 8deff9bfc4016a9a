{#
  The columns of a relation as they are written in a statement, by their name in small letters: a name may be
  a reserved word or of mixed case, and an analyst need not know how the engine keeps it.
#}
{% macro quoted_columns(relation) %}
    {%- set columns = {} -%}
    {%- for column in adapter.get_columns_in_relation(relation) -%}
        {%- do columns.update({column.name | lower: adapter.quote(column.name)}) -%}
    {%- endfor -%}
    {{- return(columns) -}}
{% endmacro %}

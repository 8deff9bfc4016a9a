{#
  Stop the build of a training table one of whose features is known only after the cutoff: its label would
  leak into it. Compared with the cutoff are every f_ column that is a date or a timestamp, and the columns
  that config.meta.fed_audience names under features_as_of: one for the whole row, or feature -> column.
  Where such a column is empty although the feature is there, nobody knows, so it is refused too.
#}
{% macro refuse_features_after_cutoff(spec, cutoff) %}
    {%- set columns = {} -%}
    {%- for column in adapter.get_columns_in_relation(this) -%}
        {%- do columns.update({column.name | lower: column}) -%}
    {%- endfor -%}
    {%- set declared = spec.get('features_as_of') or {} -%}
    {%- if declared is string -%}
        {%- set declared = {'the row as a whole': declared} -%}
    {%- endif -%}
    {%- set dated = {} -%}
    {%- for name, column in columns.items() if name.startswith('f_') and fed_audience.is_instant(column) -%}
        {%- do dated.update({name: name}) -%}
    {%- endfor -%}
    {%- do dated.update(declared) -%}
    {%- for name in ([cutoff] if dated else []) + (dated.values() | list) if name | lower not in columns -%}
        {%- do exceptions.raise_compiler_error(
            this ~ " has no column '" ~ name ~ "', which config.meta.fed_audience names as cutoff or under features_as_of."
        ) -%}
    {%- endfor -%}
    {%- set counts = [] -%}
    {%- for feature, name in dated.items() -%}
        {%- do counts.append(fed_audience.rows_after_cutoff(columns, feature | lower, name | lower, cutoff | lower)) -%}
    {%- endfor -%}
    {%- if counts -%}
        {%- set found = run_query('select ' ~ counts | join(', ') ~ ' from ' ~ this).rows[0] -%}
        {%- for feature, name in dated.items() -%}
            {%- if (found[loop.index0] or 0) | int > 0 -%}
                {%- do exceptions.raise_compiler_error(
                    this ~ ': ' ~ feature ~ ' is known only after the cutoff in ' ~ found[loop.index0] ~ ' rows (' ~ name
                    ~ ' > ' ~ cutoff ~ '), so the label leaks into it. Compute it from what happened before the cutoff.'
                ) -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
{% endmacro %}


{# The number of rows in which `name` lies after the cutoff, or is empty beside a filled feature. #}
{% macro rows_after_cutoff(columns, feature, name, cutoff) -%}
    {%- set instant = fed_audience.in_utc(adapter.quote(columns[name].name), columns[name].data_type) -%}
    {%- set until = fed_audience.in_utc(adapter.quote(columns[cutoff].name), columns[cutoff].data_type) -%}
    {%- set unknown = ' or (' ~ instant ~ ' is null' ~ (
        ' and ' ~ adapter.quote(columns[feature].name) ~ ' is not null' if feature in columns else ''
    ) ~ ')' -%}
    sum(case when {{ instant }} > {{ until }}{{ unknown }} then 1 else 0 end)
{%- endmacro %}


{% macro is_instant(column) -%}
    {%- set type = column.data_type | lower -%}
    {{- return(type.startswith('timestamp') or type.startswith('date')) -}}
{%- endmacro %}

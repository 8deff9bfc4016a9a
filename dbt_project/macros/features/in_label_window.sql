{#
  What happened in the label window of the spine's cutoff, [cutoff, cutoff + horizon), and had arrived
  when the grace after it was over.
#}
{% macro in_label_window(occurred, loaded, spine='spine') -%}
    {{ occurred }} >= {{ spine }}.cutoff_at
    and {{ occurred }} < {{ dbt.dateadd('day', fed_audience.horizon_days(), spine ~ '.cutoff_at') }}
    and coalesce({{ loaded }}, {{ occurred }}) < {{ dbt.dateadd(
        'day', fed_audience.horizon_days() + fed_audience.grace_days(), spine ~ '.cutoff_at'
    ) }}
{%- endmacro %}

{#
  What could be known of a row at the cutoff: it happened strictly before, and it had arrived before
  the grace for late rows was over. `spine` is the relation that carries cutoff_at.
#}
{% macro known_at_cutoff(occurred, loaded, spine='spine') -%}
    {{ occurred }} < {{ spine }}.cutoff_at
    and coalesce({{ loaded }}, {{ occurred }}) < {{ dbt.dateadd('day', fed_audience.grace_days(), spine ~ '.cutoff_at') }}
{%- endmacro %}

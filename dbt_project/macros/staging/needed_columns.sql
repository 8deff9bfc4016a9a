{# The columns of a raw table without which no row of it can be used; any other may be missing. #}
{% macro needed_columns(table) %}
    {{- return({
        'customers': ['customer_id'],
        'identity_map': ['source_id', 'customer_id'],
        'orders': ['order_id', 'customer_id', 'ordered_at'],
        'order_items': ['order_id'],
        'events': ['event_name', 'occurred_at'],
        'web_sessions': ['started_at'],
        'email_engagement': ['customer_id', 'sent_at'],
        'consent_events': ['source_id', 'status'],
        'consent_states': ['source_id', 'status'],
    }[table]) -}}
{% endmacro %}


{# Stop a build that would take a raw table without such a column for one that says nothing. #}
{% macro refuse_unusable(table, wanted, present) %}
    {%- for name in fed_audience.needed_columns(table) if name not in present -%}
        {%- do exceptions.raise_compiler_error(
            'fed_audience: table ' ~ fed_audience.full_name(wanted) ~ " has no column '" ~ name ~ "', without which its "
            ~ 'rows say nothing; it has ' ~ present | join(', ') ~ '. Point fed_audience__raw_schema at a view with a '
            ~ 'column of that name, or set fed_audience__using_' ~ table ~ ': false and turn on a mapping that provides it ('
            ~ fed_audience.switches_for(table) ~ ').'
        ) -%}
    {%- endfor -%}
{% endmacro %}

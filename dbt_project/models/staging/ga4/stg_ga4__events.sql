{{ config(enabled=var('fed_audience__using_ga4', false)) }}

{%- set names = {
    'view_item': 'product_view',
    'add_to_cart': 'add_to_cart',
    'begin_checkout': 'checkout',
    'search': 'search',
    'view_search_results': 'search',
} %}

with events as (

    {{ fed_audience.ga4_events({
        'event_name': ('event_name', none, 'text'),
        'event_timestamp': ('event_timestamp', none, 'big'),
        'user_id': ('user_id', none, 'text'),
        'user_pseudo_id': ('user_pseudo_id', none, 'text'),
        'bundle': ('event_bundle_sequence_id', none, 'big'),
        'place': ('batch_event_index', none, 'big'),
    }) }}

)

select
    {{ fed_audience.ga4_event_key() }} as event_id,
    user_id as customer_id,
    user_pseudo_id as anonymous_id,
    case event_name
        {%- for theirs, ours in names.items() %}
        when '{{ theirs }}' then '{{ ours }}'
        {%- endfor %}
    end as event_name,
    occurred_at,
    received_at,
    cast(null as {{ dbt.type_string() }}) as properties,
    received_at as _loaded_at,
    'ga4' as _source_system
from events
where user_pseudo_id is not null
    and event_name in (
        {%- for theirs in names %}'{{ theirs }}'{{ ', ' if not loop.last }}{% endfor -%}
    )

{% macro stream_events(mapping) %}
{%- set names = {
    'product_viewed': 'product_view',
    'product_added': 'add_to_cart',
    'checkout_started': 'checkout',
    'products_searched': 'search',
} -%}
with tracks as (

    {{ fed_audience.filled(mapping, 'tracks', {
        'event_id': 'text',
        'customer_id': 'text',
        'anonymous_id': 'text',
        'event': 'text',
        'occurred_at': 'instant',
        'received_at': 'instant',
    }, names={'event_id': 'id', 'customer_id': 'user_id', 'occurred_at': 'timestamp'}, required=true) }}

)

-- RudderStack may load a call that was sent again.
select{{ ' distinct' if mapping == 'rudderstack' }}
    event_id,
    customer_id,
    anonymous_id,
    case event
        {%- for theirs, ours in names.items() %}
        when '{{ theirs }}' then '{{ ours }}'
        {%- endfor %}
    end as event_name,
    coalesce(occurred_at, received_at) as occurred_at,
    received_at,
    cast(null as {{ dbt.type_string() }}) as properties,
    received_at as _loaded_at,
    '{{ mapping }}' as _source_system
from tracks
where event in (
    {%- for theirs in names %}'{{ theirs }}'{{ ', ' if not loop.last }}{% endfor -%}
)
{% endmacro %}


{# A visit is pages of one browser at most half an hour apart; its row arrives with its last page. #}
{% macro stream_web_sessions(mapping) %}
with pages as (

    {{ fed_audience.filled(mapping, 'pages', {
        'id': 'text',
        'customer_id': 'text',
        'anonymous_id': 'text',
        'occurred_at': 'instant',
        'received_at': 'instant',
        'medium': 'text',
        'page': 'text',
        'referrer': 'text',
        'user_agent': 'text',
    }, names={
        'customer_id': 'user_id',
        'occurred_at': 'timestamp',
        'medium': 'context_campaign_medium',
        'page': 'context_page_url',
        'referrer': 'context_page_referrer',
        'user_agent': 'context_user_agent',
    }) }}

),

seen as (

    select
        pages.*,
        coalesce(occurred_at, received_at) as seen_at,
        coalesce(anonymous_id, customer_id) as visitor
    from pages

),

followed as (

    select
        seen.*,
        case
            when lag(seen_at) over each_visitor >= {{ dbt.dateadd('minute', -30, 'seen_at') }} then 0 else 1
        end as is_first
    from seen
    where visitor is not null
    window each_visitor as (partition by visitor order by seen_at, {{ fed_audience.in_byte_order('id') }})

),

numbered as (

    select
        followed.*,
        sum(is_first) over (
            partition by visitor order by seen_at, {{ fed_audience.in_byte_order('id') }} rows unbounded preceding
        ) as visit
    from followed

)

select
    max(case when is_first = 1 then id end) as session_id,
    max(customer_id) as customer_id,
    max(anonymous_id) as anonymous_id,
    min(seen_at) as started_at,
    max(case when is_first = 1 then {{ fed_audience.channel_of('medium', 'page', 'referrer') }} end) as channel,
    cast(count(*) as {{ dbt.type_int() }}) as pages,
    cast(null as {{ dbt.type_int() }}) as engaged_s,
    max(case when is_first = 1 then {{ fed_audience.device_of('user_agent') }} end) as device,
    max(received_at) as _loaded_at,
    '{{ mapping }}' as _source_system
from numbered
group by visitor, visit
{% endmacro %}


{# One row a message and recipient, from the e-mail events of the tools' specifications. #}
{% macro stream_email_engagement(mapping) %}
{%- set becomes = {
    'email_delivered': 'delivered_at',
    'email_opened': 'opened_at',
    'email_link_clicked': 'clicked_at',
    'email_bounced': 'bounced_at',
    'unsubscribed': 'unsubscribed_at',
} -%}
with happened as (

    {% for table, instant in becomes.items() -%}
    select *, '{{ instant }}' as became
    from (
        {{ fed_audience.filled(mapping, table, {
            'email_id': 'text',
            'customer_id': 'text',
            'campaign': 'text',
            'occurred_at': 'instant',
            'received_at': 'instant',
        }, names={'customer_id': 'user_id', 'campaign': 'campaign_name', 'occurred_at': 'timestamp'}) }}
    ) as {{ table }}
    {{ 'union all' if not loop.last }}
    {% endfor %}
)

select
    email_id || ':' || customer_id as message_id,
    customer_id,
    max(campaign) as campaign,
    min(coalesce(occurred_at, received_at)) as sent_at,
    {% for instant in becomes.values() -%}
    min(case when became = '{{ instant }}' then coalesce(occurred_at, received_at) end) as {{ instant }},
    {% endfor -%}
    min(received_at) as _loaded_at,
    '{{ mapping }}' as _source_system
from happened
where email_id is not null and customer_id is not null
group by email_id, customer_id
{% endmacro %}

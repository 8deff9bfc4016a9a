-- What a customer looked at, put into the cart, searched and asked, as known at the cutoff.
with spine as (

    select
        customer_id,
        cutoff_at,
        -- The day on which the last 90 begin, from its first instant.
        cast(cast({{ dbt.dateadd('day', -90, 'cutoff_at') }} as date) as {{ dbt.type_timestamp() }}) as recent_from
    from {{ ref('int_customer_spine') }}

),

events as ({{ fed_audience.resolved(ref('stg_cdp__events'), 'occurred_at') }}),

presence as (

    select count(*) > 0 as has_events from {{ ref('stg_cdp__events') }}

),

-- A day is the smallest unit here: a cart of a day without a checkout that day counts as abandoned. What is
-- older than 90 days is asked for tickets alone, and is one such day.
days as (

    select
        spine.customer_id,
        spine.cutoff_at,
        case when events.occurred_at >= spine.recent_from then cast(events.occurred_at as date) end as day,
        {{ fed_audience.days_between('max(events.occurred_at)', 'spine.cutoff_at') }} as days_ago,
        {% for name in ['product_view', 'add_to_cart', 'checkout', 'search', 'support_ticket'] -%}
        count(case when events.event_name = '{{ name }}' then 1 end) as {{ name }}_count{{ ',' if not loop.last }}
        {% endfor %}
    from spine
    inner join events
        on spine.customer_id = events.owner_id
        and {{ fed_audience.known_at_cutoff('events.occurred_at', 'events._loaded_at') }}
        and events.occurred_at >= {{ dbt.dateadd('day', -365, 'spine.cutoff_at') }}
        and (events.occurred_at >= spine.recent_from or events.event_name = 'support_ticket')
    where events.linked_at is null or events.linked_at < spine.cutoff_at
    group by
        spine.customer_id,
        spine.cutoff_at,
        case when events.occurred_at >= spine.recent_from then cast(events.occurred_at as date) end

),

summed as (

    select
        customer_id,
        cutoff_at,
        {% for days in [7, 30, 90] -%}
        sum(case when days_ago <= {{ days }} then product_view_count else 0 end) as views_{{ days }}d,
        sum(case when days_ago <= {{ days }} then add_to_cart_count else 0 end) as carts_{{ days }}d,
        sum(
            case when days_ago <= {{ days }} and add_to_cart_count > 0 and checkout_count = 0 then 1 else 0 end
        ) as abandoned_carts_{{ days }}d,
        {% endfor -%}
        {% for days in [30, 90] -%}
        sum(case when days_ago <= {{ days }} then search_count else 0 end) as searches_{{ days }}d,
        {% endfor -%}
        sum(support_ticket_count) as support_tickets_365d
    from days
    group by customer_id, cutoff_at

)

select
    spine.customer_id,
    spine.cutoff_at,
    {% for name in [
        'views_7d', 'views_30d', 'views_90d', 'carts_7d', 'carts_30d', 'carts_90d', 'abandoned_carts_7d',
        'abandoned_carts_30d', 'abandoned_carts_90d', 'searches_30d', 'searches_90d', 'support_tickets_365d',
    ] -%}
    case when presence.has_events then coalesce(summed.{{ name }}, 0) end
        as f_{{ name }}{{ ',' if not loop.last }}
    {% endfor %}
from spine
cross join presence
left join summed
    on spine.customer_id = summed.customer_id and spine.cutoff_at = summed.cutoff_at

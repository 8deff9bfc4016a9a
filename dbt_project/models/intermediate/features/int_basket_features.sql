-- What the lines of a customer's orders of the last year say at the cutoff.
with spine as (

    select customer_id, cutoff_at from {{ ref('int_customer_spine') }}

),

presence as (

    select
        count(*) > 0 as has_items,
        count(category) > 0 as has_categories,
        max(case when category = 'premium' then 1 else 0 end) = 1 as has_premium
    from {{ ref('stg_cdp__order_items') }}

),

bought as (

    select
        spine.customer_id,
        spine.cutoff_at,
        items.category,
        sum(coalesce(items.qty, 1)) as units,
        sum(coalesce(items.qty, 1) * items.price) as spent
    from spine
    inner join {{ ref('stg_cdp__orders') }} as orders
        on spine.customer_id = orders.customer_id
        and {{ fed_audience.known_at_cutoff('orders.ordered_at', 'orders._loaded_at') }}
        and orders.ordered_at >= {{ dbt.dateadd('day', -365, 'spine.cutoff_at') }}
    inner join {{ ref('stg_cdp__order_items') }} as items
        on orders.order_id = items.order_id
        and {{ fed_audience.known_at_cutoff('orders.ordered_at', 'items._loaded_at') }}
    where coalesce(orders.status, 'completed') <> 'cancelled'
    group by spine.customer_id, spine.cutoff_at, items.category

),

ranked as (

    select
        bought.*,
        {{ fed_audience.ratio(
            'units',
            'sum(case when category is not null then units end) over (partition by customer_id, cutoff_at)'
        ) }} as share,
        row_number() over (
            partition by customer_id, cutoff_at
            order by case when category is null then 1 else 0 end, units desc, {{ fed_audience.in_byte_order('category') }}
        ) as place
    from bought

),

summed as (

    select
        customer_id,
        cutoff_at,
        {{ fed_audience.ratio('sum(spent)', 'sum(case when spent is not null then units end)') }}
            as price_level,
        sum(units) as units,
        count(category) as categories,
        -sum(case when category is not null then share * ln(share) end) as entropy,
        max(case when category is not null then share end) as top_share,
        max(case when place = 1 then category end) as preferred,
        sum(case when category = 'premium' then share else 0 end) as premium_share
    from ranked
    group by customer_id, cutoff_at

)

select
    spine.customer_id,
    spine.cutoff_at,
    case when presence.has_items then coalesce(summed.units, 0) end as f_units_365d,
    summed.price_level as f_price_level_365d,
    case when presence.has_categories then coalesce(summed.categories, 0) end as f_categories_365d,
    summed.entropy as f_category_entropy_365d,
    summed.top_share as f_top_category_share_365d,
    case when presence.has_premium then summed.premium_share end as f_premium_share_365d,
    summed.preferred as f_preferred_category
from spine
cross join presence
left join summed
    on spine.customer_id = summed.customer_id and spine.cutoff_at = summed.cutoff_at

-- What each customer of the spine ordered in [cutoff, cutoff + horizon), where that window and the
-- grace for late rows are complete. NULL where the brand has no orders at all.
with presence as (

    select count(*) > 0 as has_orders, count(gross) > 0 as has_gross from {{ ref('stg_cdp__orders') }}

),

ordered as (

    select
        spine.customer_id,
        spine.cutoff_at,
        count(*) as orders,
        sum(orders.gross - coalesce(orders.discount, 0)) as revenue
    from {{ ref('int_customer_spine') }} as spine
    inner join {{ ref('stg_cdp__orders') }} as orders
        on spine.customer_id = orders.customer_id
        and {{ fed_audience.in_label_window('orders.ordered_at', 'orders._loaded_at') }}
    where coalesce(orders.status, 'completed') <> 'cancelled'
    group by spine.customer_id, spine.cutoff_at

)

select
    spine.customer_id,
    spine.cutoff_at,
    case when presence.has_orders then coalesce(ordered.orders, 0) end as label_orders,
    case when presence.has_gross then coalesce(ordered.revenue, 0) end as label_revenue
from {{ ref('int_customer_spine') }} as spine
cross join presence
left join ordered
    on spine.customer_id = ordered.customer_id and spine.cutoff_at = ordered.cutoff_at
where spine.cutoff_at <= {{ fed_audience.training_cutoff() }}

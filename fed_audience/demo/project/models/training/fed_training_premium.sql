{{ config(enabled=var('brand') == var('seed_brand')) }}

-- Seeds that only this brand knows: who bought from 'premium' in the label window. The others are its
-- other customers at the same cutoff, never those of a partner.
with seeds as (

    select distinct spine.customer_id, spine.cutoff_at
    from {{ ref('fed_audience', 'int_label_window') }} as spine
    inner join {{ ref('fed_audience', 'stg_cdp__orders') }} as orders
        on spine.customer_id = orders.customer_id
        and {{ fed_audience.in_label_window('orders.ordered_at', 'orders._loaded_at') }}
    inner join {{ ref('fed_audience', 'stg_cdp__order_items') }} as items
        on orders.order_id = items.order_id and items.category = 'premium'
    where coalesce(orders.status, 'completed') <> 'cancelled'

),

labelled as (

    select
        features.*,
        cast(case when seeds.customer_id is null then 0 else 1 end as integer) as label
    from {{ ref('fed_audience', 'fct_customer_features') }} as features
    left join seeds
        on features.customer_id = seeds.customer_id and features.cutoff_at = seeds.cutoff_at

)

{{ fed_audience.training_set('labelled', entity='customer_id', cutoff='cutoff_at', label='label') }}

-- Buys in the label window, or does not.
with labelled as (

    select
        features.*,
        cast(case when labels.label_orders > 0 then 1 when labels.label_orders = 0 then 0 end as integer)
            as label
    from {{ ref('fct_customer_features') }} as features
    inner join {{ ref('int_label_window') }} as labels
        on features.customer_id = labels.customer_id and features.cutoff_at = labels.cutoff_at

)

{{ fed_audience.training_set('labelled', entity='customer_id', cutoff='cutoff_at', label='label') }}

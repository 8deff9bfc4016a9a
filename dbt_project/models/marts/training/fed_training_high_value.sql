-- The seed rule of a lookalike that every brand can compute: the top tenth of the brand's customers
-- by revenue in the label window. Who spent nothing is no seed, however few spent anything.
with labelled as (

    select
        features.*,
        cast(
            case
                when labels.label_revenue is null then null
                when labels.label_revenue > 0 and labels.standing >= 0.9 then 1
                else 0
            end as integer
        ) as label
    from {{ ref('fct_customer_features') }} as features
    inner join (
        select
            customer_id,
            cutoff_at,
            label_revenue,
            percent_rank() over (partition by cutoff_at order by label_revenue) as standing
        from {{ ref('int_label_window') }}
    ) as labels
        on features.customer_id = labels.customer_id and features.cutoff_at = labels.cutoff_at

)

{{ fed_audience.training_set('labelled', entity='customer_id', cutoff='cutoff_at', label='label') }}

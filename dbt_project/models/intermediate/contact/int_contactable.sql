{{ config(tags=['fed_score']) }}

-- Who may be reached, how, and who is held out of every audience to measure what audiences bring.
-- The hold-out is the lowest 5 % of a hash of the customer id: the same people on every engine and day.
with allowed as (

    select
        subject_id,
        max(case when purpose = 'activate:email' and is_consented then 1 else 0 end) as email,
        max(case when purpose = 'activate:ads' and is_consented then 1 else 0 end) as ads
    from {{ ref('int_consent_current') }}
    group by subject_id

)

select
    customers.customer_id,
    customers.email,
    customers.phone,
    coalesce(customers.suppressed_at <= {{ fed_audience.as_of(live=true) }}, false) as is_suppressed,
    substr(md5('holdout:' || customers.customer_id), 1, 4) < '0ccd' as in_holdout,
    coalesce(allowed.email, 0) = 1 as consent_activate_email,
    coalesce(allowed.ads, 0) = 1 as consent_activate_ads
from {{ ref('stg_cdp__customers') }} as customers
left join allowed on customers.customer_id = allowed.subject_id

{{ config(tags=['fed_score']) }}

-- Who may be reached, and how.
with allowed as (

    select
        subject_id,
        max(case when purpose = 'activate:email' and is_consented then 1 else 0 end) as email,
        max(case when purpose = 'activate:ads' and is_consented then 1 else 0 end) as ads
    from {{ ref('int_consent_current') }}
    group by subject_id

)

select
    details.*,
    coalesce(allowed.email, 0) = 1 as consent_activate_email,
    coalesce(allowed.ads, 0) = 1 as consent_activate_ads
from {{ ref('int_contact_details') }} as details
left join allowed on details.customer_id = allowed.subject_id

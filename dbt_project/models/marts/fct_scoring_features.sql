{{ config(materialized='view', tags=['fed_score']) }}

-- Features at the scoring cutoff, of those who allow profiling at the moment of reading.
select features.*
from {{ ref('fct_customer_features') }} as features
inner join {{ ref('int_consent_current') }} as consent
    on features.customer_id = consent.subject_id
    and consent.purpose = 'profile'
    and consent.is_consented
where features.cutoff_at = (select max(cutoff_at) from {{ ref('fct_customer_features') }})

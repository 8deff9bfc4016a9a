{{ config(materialized='view', tags=['fed_score']) }}

-- Members selected into audiences who allow that channel at the moment of reading.
select
    members.audience,
    members.channel,
    members.customer_id,
    members.model_name,
    members.model_version,
    members.score,
    members.selected_at
from {{ fed_audience.control('audience_members') }} as members
inner join (
    {{ fed_audience.consent_as_of(
        ref('int_consent_ledger'),
        fed_audience.as_of(live=true),
        subjects='select customer_id from ' ~ fed_audience.control('audience_members')
    ) }}
) as consent
    on members.customer_id = consent.subject_id
    and consent.purpose = 'activate:' || members.channel
    and consent.is_consented

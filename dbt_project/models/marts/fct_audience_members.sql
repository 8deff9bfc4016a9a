{{ config(materialized='view', tags=['fed_score']) }}

-- Members selected into audiences who allow that channel at the moment of reading, and `profile`:
-- an audience is cut from scores.
with consent as (

    select subject_id, purpose
    from (
        {{ fed_audience.consent_as_of(
            ref('int_consent_ledger'),
            fed_audience.as_of(live=true),
            subjects='select customer_id from ' ~ fed_audience.control('audience_members')
        ) }}
    ) as decisions
    where is_consented

)

select
    members.audience,
    members.channel,
    members.customer_id,
    members.model_name,
    members.model_version,
    members.score,
    members.selected_at
from {{ fed_audience.control('audience_members') }} as members
inner join consent as channels
    on members.customer_id = channels.subject_id
    and channels.purpose = 'activate:' || members.channel
inner join consent as profiles
    on members.customer_id = profiles.subject_id
    and profiles.purpose = 'profile'

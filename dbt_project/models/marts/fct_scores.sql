{{ config(
    materialized='view', tags=['fed_score'], post_hook="{{ fed_audience.delete_withdrawn_scores() }}"
) }}

-- Scores of the active version of each model, of those who allow profiling at the moment of reading.
select
    scores.model_name,
    scores.model_version,
    scores.customer_id,
    scores.score,
    scores.is_rank,
    scores.scored_at
from {{ fed_audience.control('scores') }} as scores
inner join {{ fed_audience.control('model_registry') }} as registry
    on scores.model_name = registry.model_name
    and scores.model_version = registry.model_version
    and registry.is_active
inner join (
    {{ fed_audience.consent_as_of(
        ref('int_consent_ledger'),
        fed_audience.as_of(live=true),
        ['profile'],
        subjects='select customer_id from ' ~ fed_audience.control('scores')
    ) }}
) as consent
    on scores.customer_id = consent.subject_id and consent.is_consented

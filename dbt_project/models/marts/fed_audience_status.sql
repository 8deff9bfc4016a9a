{{ config(materialized='view', tags=['fed_prepare', 'fed_train', 'fed_score']) }}

{%- set now = fed_audience.as_of(live=true) %}

-- One row an audience model: what was asked for last, what came of it, which version scores, and how old the
-- consent is that it stands on. A view, so it tells the moment of reading.
with requests as (

    select
        asked.*,
        row_number() over (
            partition by model_name order by requested_at desc, {{ fed_audience.in_byte_order('request_id') }} desc
        ) as nth
    from {{ fed_audience.control('training_requests') }} as asked

),

runs as (

    select
        trained.*,
        row_number() over (
            partition by model_name order by started_at desc, {{ fed_audience.in_byte_order('run_id') }} desc
        ) as nth
    from {{ fed_audience.control('training_runs') }} as trained

),

versions as (

    select
        registry.model_name,
        cast(max(registry.model_version) as {{ fed_audience.text() }}) as model_version,
        max(registry.created_at) as created_at,
        -- Consent was asked again when the run began.
        max(coalesce(runs.started_at, registry.created_at)) as consent_as_of
    from {{ fed_audience.control('model_registry') }} as registry
    left join runs on registry.run_id = runs.run_id
    where registry.is_active
    group by registry.model_name

),

scored as (

    select model_name, model_version, count(*) as people, max(scored_at) as scored_at
    from {{ fed_audience.control('scores') }}
    group by model_name, model_version

),

names as (

    select distinct model_name
    from (
        select model_name from requests
        union all
        select model_name from runs
        union all
        select model_name from versions
    ) as named

),

heard as (

    select max(recorded_at) as newest_at from {{ ref('int_consent_ledger') }} where recorded_at <= {{ now }}

),

withdrawn as (

    select versions.model_name, count(distinct ledger.subject_id) as people
    from versions
    inner join {{ ref('int_consent_ledger') }} as ledger
        on ledger.recorded_at > versions.consent_as_of
        and ledger.recorded_at <= {{ now }}
        and ledger.purpose in ('train', 'share_model')
        and ledger.status in ('denied', 'withdrawn', 'expired')
    group by versions.model_name

)

select
    names.model_name,
    cast(case
        when requests.status = 'pending' then 'waiting'
        when requests.status = 'claimed' then 'training'
        when requests.status in ('failed', 'stale', 'cancelled') then requests.status
        when runs.status in ('failed', 'interrupted') then runs.status
        when versions.model_version is not null then 'trained'
        else 'untrained'
    end as {{ fed_audience.text() }}) as state,
    coalesce(requests.detail, runs.message) as detail,
    requests.requested_at,
    requests.status as request_status,
    requests.row_count as rows_requested,
    requests.claimed_by,
    runs.run_id,
    runs.status as run_status,
    runs.started_at as run_started_at,
    runs.finished_at as run_finished_at,
    runs.partners,
    runs.rows_used,
    runs.rows_withdrawn,
    versions.model_version,
    versions.created_at as trained_at,
    coalesce(scored.people, 0) as people_scored,
    scored.scored_at,
    versions.consent_as_of,
    coalesce(withdrawn.people, 0) as people_withdrawn_since,
    heard.newest_at as consent_heard_at,
    {{ fed_audience.days_between('heard.newest_at', now) }} * 24 as consent_age_hours,
    coalesce(
        {{ fed_audience.days_between('heard.newest_at', now) }} * 24
        > {{ var('fed_audience__consent_max_age_hours', 24) }},
        true
    ) as is_consent_stale
from names
cross join heard
left join requests on names.model_name = requests.model_name and requests.nth = 1
left join runs on names.model_name = runs.model_name and runs.nth = 1
left join versions on names.model_name = versions.model_name
left join scored
    on versions.model_name = scored.model_name and versions.model_version = scored.model_version
left join withdrawn on names.model_name = withdrawn.model_name

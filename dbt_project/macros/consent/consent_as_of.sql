{#
  Every decision that the ledger supports at the instant `as_of`: one row a subject and purpose.

  known          only events with recorded_at <= as_of exist.
  order          an event counts from effective_at when a server stamped it. A client's clock is not
                 believed: its grant counts as early as it can be, its refusal as late as it can be.
                 The latest event of an identity decides. A grant dated after as_of does not count
                 yet; a refusal counts as soon as it is known.
  tie            at the same instant a refusal beats a grant, then the smaller event id decides.
  expiry         a grant ends at expires_at, or ttl_days after it began where it names no end; it has
                 ended at that very instant.
  regime         opt_in: only a grant consents. opt_out: silence consents until someone refuses, and
                 an event that says nothing never lifts an earlier refusal. A person known in several
                 jurisdictions lives under the strictest mix of their rules; a jurisdiction without
                 rules counts as ZZ, a purpose without rules as the strictest opt_in.
  minors         nobody consents for a minor. Each identity's newest statement of age holds and one
                 minor identity suffices; without any statement the jurisdiction decides.
  identity merge the subject consents when each identity that ever spoke on the purpose does.
  purpose        no purpose implies another: a purpose without an event has no row, so no consent.

  `rule` names what decided: granted, opt_out_default | denied, withdrawn, expired, ttl_expired,
  unknown, minor, minor_unknown, identity_merge. consent_event_id, status and jurisdiction are those
  of the deciding event. All timestamps are UTC.

  ledger    relation with the columns of int_consent_ledger
  as_of     SQL expression of a timestamp
  purposes  optional list that narrows the answer, never the evidence
#}
{% macro consent_as_of(ledger, as_of, purposes=none) %}
with known as (

    select
        consent_event_id,
        member_id,
        subject_id,
        purpose,
        coalesce(status, 'unknown') as status,
        jurisdiction,
        effective_at,
        recorded_at,
        expires_at,
        is_minor,
        case
            when status = 'granted' and effective_at is null then null
            when time_trust = 'server' then coalesce(effective_at, recorded_at)
            when status = 'granted' then least(effective_at, recorded_at)
            else recorded_at
        end as counts_at
    from {{ ledger }}
    where subject_id is not null and recorded_at <= {{ as_of }}

),

rules as (

    select * from {{ ref('fed_audience', 'jurisdiction_rules') }}

),

ages as (

    select subject_id, max(case when is_minor then 1 else 0 end) = 1 as is_minor
    from (
        select
            subject_id,
            is_minor,
            row_number() over (
                partition by subject_id, member_id
                order by recorded_at desc, case when is_minor then 0 else 1 end
            ) as newest
        from known
        where is_minor is not null
    ) as statements
    where newest = 1
    group by subject_id

),

places as (

    select distinct known.subject_id, coalesce(listed.jurisdiction, 'ZZ') as jurisdiction
    from known
    left join (select distinct jurisdiction from rules) as listed
        on known.jurisdiction = listed.jurisdiction

),

regimes as (

    select
        asked.subject_id,
        asked.purpose,
        min(case when rules.default_mode = 'opt_out' then 1 else 0 end) = 1 as is_opt_out,
        min(
            case
                when rules.purpose is null then (select min(ttl_days) from rules)
                else rules.ttl_days
            end
        ) as ttl_days,
        max(case when coalesce(rules.minor_unknown_is_minor, true) then 1 else 0 end) = 1
            as is_minor_unless_said
    from (
        select distinct subject_id, purpose from known
        {% if purposes is not none -%}
            where purpose in ({% for purpose in purposes %}'{{ purpose }}'{{ ', ' if not loop.last }}{% endfor %})
        {%- endif %}
    ) as asked
    inner join places on asked.subject_id = places.subject_id
    left join rules on places.jurisdiction = rules.jurisdiction and asked.purpose = rules.purpose
    group by asked.subject_id, asked.purpose

),

candidates as (

    select
        known.*,
        regimes.is_opt_out,
        regimes.ttl_days,
        regimes.is_minor_unless_said,
        row_number() over (
            partition by known.subject_id, known.purpose, known.member_id
            order by
                case
                    when regimes.is_opt_out
                        and known.status not in ('granted', 'denied', 'withdrawn', 'expired') then 1
                    else 0
                end,
                {{ fed_audience.consent_order() }}
        ) as newest
    from known
    inner join regimes
        on known.subject_id = regimes.subject_id and known.purpose = regimes.purpose
    where known.status <> 'granted' or known.counts_at <= {{ as_of }}

),

members as (

    select
        candidates.*,
        case
            when ages.is_minor then 'minor'
            when ages.is_minor is null and candidates.is_minor_unless_said then 'minor_unknown'
            when candidates.status in ('denied', 'withdrawn', 'expired') then candidates.status
            when candidates.status = 'granted' then
                case
                    when candidates.expires_at is not null then
                        case when candidates.expires_at > {{ as_of }} then 'granted' else 'expired' end
                    when candidates.ttl_days is null
                        or {{ dbt.dateadd('day', 'candidates.ttl_days', 'candidates.counts_at') }} > {{ as_of }}
                        then 'granted'
                    else 'ttl_expired'
                end
            when candidates.is_opt_out then 'opt_out_default'
            else 'unknown'
        end as member_rule
    from candidates
    left join ages on candidates.subject_id = ages.subject_id
    where candidates.newest = 1

),

merged as (

    select
        members.*,
        member_rule in ('granted', 'opt_out_default') as is_allowed,
        max(case when member_rule in ('granted', 'opt_out_default') then 1 else 0 end) over (
            partition by subject_id, purpose
        ) = 1 as any_allowed,
        row_number() over (
            partition by subject_id, purpose
            order by
                case when member_rule in ('granted', 'opt_out_default') then 1 else 0 end,
                {{ fed_audience.consent_order() }}
        ) as decisive
    from members

)

select
    subject_id,
    purpose,
    is_allowed as is_consented,
    case when any_allowed and not is_allowed then 'identity_merge' else member_rule end as rule,
    consent_event_id,
    status,
    jurisdiction,
    {{ as_of }} as as_of
from merged
where decisive = 1
{% endmacro %}


{# Which of two events decides: the later one, then the refusal, then the smaller id. #}
{% macro consent_order() %}
    counts_at desc, case when status = 'granted' then 1 else 0 end, {{ fed_audience.in_byte_order('consent_event_id') }}
{%- endmacro %}

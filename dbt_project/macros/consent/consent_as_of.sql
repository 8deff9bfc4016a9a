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
  subjects  optional select of the customers who are asked about; each is decided by themselves alone
  rules     relation with the columns of jurisdiction_rules; without it that seed
#}
{% macro consent_as_of(ledger, as_of, purposes=none, subjects=none, rules=none) %}
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
    {%- if subjects is not none %}
        and subject_id in ({{ subjects }})
    {%- endif %}

),

rules as (

    select * from {{ rules or ref('fed_audience', 'jurisdiction_rules') }}

),

ages as (

    select subject_id, max(says_minor) = 1 as is_minor
    from (
        select
            subject_id,
            case when max(case when is_minor then recorded_at end) = max(recorded_at) then 1 else 0 end
                as says_minor
        from known
        where is_minor is not null
        group by subject_id, member_id
    ) as statements
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
        max(asked.events) as events,
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
        select subject_id, purpose, count(*) as events
        from known
        {% if purposes is not none -%}
        where purpose in ({% for purpose in purposes %}'{{ purpose }}'{{ ', ' if not loop.last }}{% endfor %})
        {% endif -%}
        group by subject_id, purpose
    ) as asked
    inner join places on asked.subject_id = places.subject_id
    left join rules on places.jurisdiction = rules.jurisdiction and asked.purpose = rules.purpose
    group by asked.subject_id, asked.purpose

),

candidates as (

    select
        known.*,
        regimes.events,
        regimes.is_opt_out,
        case
            when ages.is_minor then 'minor'
            when ages.is_minor is null and regimes.is_minor_unless_said then 'minor_unknown'
            when known.status in ('denied', 'withdrawn', 'expired') then known.status
            when known.status = 'granted' then
                case
                    when known.expires_at is not null then
                        case when known.expires_at > {{ as_of }} then 'granted' else 'expired' end
                    when regimes.ttl_days is null
                        or {{ dbt.dateadd('day', 'regimes.ttl_days', 'known.counts_at') }} > {{ as_of }}
                        then 'granted'
                    else 'ttl_expired'
                end
            when regimes.is_opt_out then 'opt_out_default'
            else 'unknown'
        end as member_rule
    from known
    inner join regimes
        on known.subject_id = regimes.subject_id and known.purpose = regimes.purpose
    left join ages on known.subject_id = ages.subject_id
    where known.status <> 'granted' or known.counts_at <= {{ as_of }}

),

-- Most people say one thing on a purpose, which decides; only several need an order.
members as (

    select
        candidates.*,
        row_number() over (
            partition by candidates.subject_id, candidates.purpose, candidates.member_id
            order by
                case
                    when is_opt_out and status not in ('granted', 'denied', 'withdrawn', 'expired') then 1
                    else 0
                end,
                {{ fed_audience.consent_order() }}
        ) as newest
    from candidates
    where events > 1

),

merged as (

    select
        members.*,
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
    where newest = 1

),

decided as (

    select subject_id, purpose, member_rule, false as any_allowed, consent_event_id, status, jurisdiction
    from candidates
    where events = 1
    union all
    select subject_id, purpose, member_rule, any_allowed, consent_event_id, status, jurisdiction
    from merged
    where decisive = 1

)

select
    subject_id,
    purpose,
    member_rule in ('granted', 'opt_out_default') as is_consented,
    case
        when any_allowed and member_rule not in ('granted', 'opt_out_default') then 'identity_merge'
        else member_rule
    end as rule,
    consent_event_id,
    status,
    jurisdiction,
    {{ as_of }} as as_of
from decided
{% endmacro %}


{# Which of two events decides: the later one, then the refusal, then the smaller id. #}
{% macro consent_order() %}
    counts_at desc, case when status = 'granted' then 1 else 0 end, {{ fed_audience.in_byte_order('consent_event_id') }}
{%- endmacro %}

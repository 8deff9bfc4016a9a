{# Fails on every score of someone who does not allow profiling. #}
{% test fed_profiled(model) %}
select scored.customer_id, scored.model_name
from {{ model }} as scored
left join (
    {{ fed_audience.consent_as_of(
        ref('fed_audience', 'int_consent_ledger'),
        fed_audience.as_of(live=true),
        ['profile'],
        subjects='select customer_id from ' ~ model
    ) }}
) as consent
    on scored.customer_id = consent.subject_id
where consent.is_consented is distinct from true
{% endtest %}


{# Fails on every member of an audience who does not allow its channel. #}
{% test fed_activated(model) %}
select members.customer_id, members.audience, members.channel
from {{ model }} as members
left join (
    {{ fed_audience.consent_as_of(
        ref('fed_audience', 'int_consent_ledger'),
        fed_audience.as_of(live=true),
        subjects='select customer_id from ' ~ model
    ) }}
) as consent
    on members.customer_id = consent.subject_id
    and consent.purpose = 'activate:' || members.channel
where consent.is_consented is distinct from true
{% endtest %}

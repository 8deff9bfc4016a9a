{# Fails on every score of someone who does not allow profiling. For a model that stands on the consent ledger. #}
{% test fed_profiled(model) %}
select scored.customer_id, scored.model_name
from {{ model }} as scored
left join ({{ fed_audience.consent_now(['profile']) }}) as consent
    on scored.customer_id = consent.subject_id
where consent.is_consented is distinct from true
{% endtest %}


{# Fails on every member of an audience who does not allow its channel. For a model that stands on the consent ledger. #}
{% test fed_activated(model) %}
select members.customer_id, members.audience, members.channel
from {{ model }} as members
left join ({{ fed_audience.consent_now() }}) as consent
    on members.customer_id = consent.subject_id
    and consent.purpose = 'activate:' || members.channel
where consent.is_consented is distinct from true
{% endtest %}

{#
  Fails on every score of someone who does not allow profiling. It asks the view of today's consent, on which no
  training table stands: dbt runs every test of what it selects, and one training must not ask for scores.
#}
{% test fed_profiled(model) %}
select scored.customer_id, scored.model_name
from {{ model }} as scored
left join {{ ref('fed_audience', 'int_consent_current') }} as consent
    on scored.customer_id = consent.subject_id
    and consent.purpose = 'profile'
where consent.is_consented is distinct from true
{% endtest %}


{# Fails on every member of an audience who does not allow its channel. #}
{% test fed_activated(model) %}
select members.customer_id, members.audience, members.channel
from {{ model }} as members
left join {{ ref('fed_audience', 'int_consent_current') }} as consent
    on members.customer_id = consent.subject_id
    and consent.purpose = 'activate:' || members.channel
where consent.is_consented is distinct from true
{% endtest %}

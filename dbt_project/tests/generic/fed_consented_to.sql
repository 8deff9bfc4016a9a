{#
  Fails on every row whose entity lacked one of the purposes at the instant the row names. For a model that stands
  on the consent ledger, as one of fed_audience.training_set does.
#}
{% test fed_consented_to(model, purposes, entity, as_of_column) %}
{%- set columns = fed_audience.quoted_columns(model) if execute and model is not string else {} -%}
select checked.*
from {{ model }} as checked
left join (
    select subject_id
    from (
        {{ fed_audience.consent_as_of(
            fed_audience.built('model', 'int_consent_ledger'),
            '(select max(' ~ as_of_column ~ ') from ' ~ model ~ ')',
            purposes,
            rules=fed_audience.built('seed', 'jurisdiction_rules')
        ) }}
    ) as decisions
    where is_consented
    group by subject_id
    having count(*) = {{ purposes | length }}
) as allowed
    on cast(checked.{{ columns.get(entity | lower, entity) }} as {{ dbt.type_string() }}) = allowed.subject_id
where allowed.subject_id is null
    or checked.{{ as_of_column }} <> (select max({{ as_of_column }}) from {{ model }})
{% endtest %}

{# Fails on every row whose entity lacked one of the purposes at the instant the row names. #}
{% test fed_consented_to(model, purposes, entity, as_of_column) %}
select checked.*
from {{ model }} as checked
left join (
    select subject_id
    from (
        {{ fed_audience.consent_as_of(
            ref('fed_audience', 'int_consent_ledger'),
            '(select max(' ~ as_of_column ~ ') from ' ~ model ~ ')',
            purposes
        ) }}
    ) as decisions
    where is_consented
    group by subject_id
    having count(*) = {{ purposes | length }}
) as allowed
    on cast(checked.{{ entity }} as {{ dbt.type_string() }}) = allowed.subject_id
where allowed.subject_id is null
    or checked.{{ as_of_column }} <> (select max({{ as_of_column }}) from {{ model }})
{% endtest %}

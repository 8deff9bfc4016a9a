{#
  Rows of a staging relation with `owner_id`: the customer they name, or else the one who owned their
  anonymous id at the time; a mapped tool's ids are looked up among its own. `linked_at` is when that link became known (NULL: no link was needed).
#}
{% macro resolved(relation, occurred) %}
select
    rows_.*,
    coalesce(rows_.customer_id, members.customer_id) as owner_id,
    members.linked_at
from {{ relation }} as rows_
left join {{ ref('fed_audience', 'int_identity_members') }} as members
    on rows_.customer_id is null
    and rows_.anonymous_id = members.source_id
    and (
        members.source_system in (
            {%- for system in var('fed_audience__anonymous_systems', ['web', 'app']) -%}
                '{{ system }}'{{ ', ' if not loop.last }}
            {%- endfor -%}
        )
        {%- for mapping in fed_audience.mappings_of('identity_map') %}
        or (members.source_system = '{{ mapping }}' and rows_._source_system = '{{ mapping }}')
        {%- endfor %}
    )
    and rows_.{{ occurred }} >= coalesce(members.owned_from, rows_.{{ occurred }})
    and rows_.{{ occurred }} < coalesce(
        members.owned_until, {{ dbt.dateadd('day', 1, 'rows_.' ~ occurred) }}
    )
where coalesce(rows_.customer_id, members.customer_id) is not null
{% endmacro %}

{#
  The canonical identity map of a tool whose events name a person now and then: whose a browser or device is, from
  the first event on that named somebody else than before, and each person as themselves.

  mapping       the tool
  events        select with user_id, received_at, and the columns that the next two name
  anonymous_id  the browser's or device's own id
  tie           what orders events of the same instant
#}
{% macro identity_links(mapping, events, anonymous_id, tie) %}
with events as (

    {{ events }}

),

named as (

    select
        {{ anonymous_id }} as anonymous_id,
        user_id,
        received_at,
        lag(user_id) over (
            partition by {{ anonymous_id }} order by received_at, {{ fed_audience.in_byte_order(tie) }}
        ) as user_before
    from events
    where user_id is not null and {{ anonymous_id }} is not null

),

links as (

    select anonymous_id as source_id, user_id as customer_id, received_at as valid_from
    from named
    where user_id is distinct from user_before
    union all
    select user_id, user_id, min(received_at)
    from events
    where user_id is not null
    group by user_id

)

select
    '{{ mapping }}' as source_system,
    source_id,
    customer_id,
    valid_from,
    cast(null as {{ dbt.type_timestamp() }}) as valid_to,
    valid_from as _loaded_at,
    '{{ mapping }}' as _source_system
from links
{% endmacro %}

{#
  Segment and RudderStack load the same shape: a table for each call (identifies, pages, tracks) and one for
  each name of an event. Each macro of this folder is one canonical table from it; `mapping` is the tool.
#}
{% macro stream_customers(mapping) %}
{%- set traits = ['country', 'region', 'birthday', 'email', 'phone'] -%}
with identifies as (

    {{ fed_audience.filled(mapping, 'identifies', {
        'user_id': 'text',
        'created_at': 'instant',
        'country': 'text',
        'region': 'text',
        'birthday': 'text',
        'email': 'text',
        'phone': 'text',
        'received_at': 'instant',
    }, names={'country': 'address_country', 'region': 'address_state'}, required=true) }}

),

-- Each call tells what it knows: of every trait the newest that was told.
told as (

    select
        identifies.*
        {%- for trait in traits %},
        row_number() over (
            partition by user_id order by case when {{ trait }} is null then 1 else 0 end, received_at desc
        ) as {{ trait }}_age
        {%- endfor %}
    from identifies
    where user_id is not null

)

select
    user_id as customer_id,
    coalesce(min(created_at), min(received_at)) as created_at,
    max(case when country_age = 1 then country end) as country,
    max(case when region_age = 1 then region end) as region,
    cast({{ dbt.split_part("max(case when birthday_age = 1 and birthday like '____-%' then birthday end)", "'-'", 1) }} as {{ dbt.type_int() }}) as birth_year,
    max(case when email_age = 1 then email end) as email,
    max(case when phone_age = 1 then phone end) as phone,
    cast(null as {{ dbt.type_timestamp() }}) as suppressed_at,
    min(received_at) as _loaded_at,
    '{{ mapping }}' as _source_system
from told
group by user_id
{% endmacro %}


{# Whose an anonymous id is, by the calls that tie it to somebody. #}
{% macro stream_identity_map(mapping) %}
{{ fed_audience.identity_links(
    mapping,
    fed_audience.filled(mapping, 'identifies', {
        'id': 'text',
        'user_id': 'text',
        'anonymous_id': 'text',
        'received_at': 'instant',
    }, required=true),
    anonymous_id='anonymous_id',
    tie='id',
) }}
{% endmacro %}

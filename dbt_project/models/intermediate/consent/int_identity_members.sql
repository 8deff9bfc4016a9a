-- Who owns a source identity, and since when. A newer link to another customer ends the older one,
-- so an identity belongs to one customer at a time. The first owner also owns what came before.
with links as (

    select source_system, source_id, customer_id, valid_from, valid_to
    from {{ ref('stg_cdp__identity_map') }}
    where customer_id is not null

),

-- Most identities have one link, which needs no order.
passed_on as (

    select source_system, source_id
    from links
    group by source_system, source_id
    having count(*) > 1

),

ordered as (

    select
        links.*,
        cast(null as {{ dbt.type_timestamp() }}) as next_from,
        1 as nth
    from links
    left join passed_on
        on links.source_system = passed_on.source_system and links.source_id = passed_on.source_id
    where passed_on.source_id is null
    union all
    select
        links.*,
        lead(links.valid_from) over each_identity as next_from,
        row_number() over each_identity as nth
    from links
    inner join passed_on
        on links.source_system = passed_on.source_system and links.source_id = passed_on.source_id
    window each_identity as (
        partition by links.source_system, links.source_id
        order by links.valid_from, links.valid_to, {{ fed_audience.in_byte_order('links.customer_id') }}
    )

)

select
    source_system || ':' || source_id as member_id,
    source_system,
    source_id,
    customer_id,
    valid_from as linked_at,
    case when nth = 1 then null else valid_from end as owned_from,
    -- The earlier of both, or the one that there is: not every engine's least() knows what is missing.
    least(coalesce(valid_to, next_from), coalesce(next_from, valid_to)) as owned_until
from ordered

-- Who owns a source identity, and since when. A newer link to another customer ends the older one,
-- so an identity belongs to one customer at a time. The first owner also owns what came before.
with links as (

    select
        source_system,
        source_id,
        customer_id,
        valid_from,
        valid_to,
        lead(valid_from) over each_identity as next_from,
        row_number() over each_identity as nth
    from {{ ref('stg_cdp__identity_map') }}
    where customer_id is not null
    window each_identity as (
        partition by source_system, source_id order by valid_from, valid_to, {{ fed_audience.in_byte_order('customer_id') }}
    )

)

select
    source_system || ':' || source_id as member_id,
    source_system,
    source_id,
    customer_id,
    valid_from as linked_at,
    case when nth = 1 then null else valid_from end as owned_from,
    least(valid_to, next_from) as owned_until
from links

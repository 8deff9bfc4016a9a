-- A brand of $customers customers with two years behind it. Everyone allows everything.
create schema raw;

create table raw.customers as
select
    'c' || i as customer_id,
    timestamp '2024-06-01' + to_days((hash(i) % 700)::int) as created_at,
    ['DE', 'FR', 'AT', 'NL'][1 + (i % 4)] as country,
    null::varchar as region,
    1950 + (i % 55) as birth_year,
    'c' || i || '@example.com' as email,
    null::varchar as phone,
    null::timestamp as suppressed_at
from range($customers) as people (i);

create table raw.identity_map as
select 'crm' as source_system, customer_id as source_id, customer_id, created_at as valid_from, null::timestamp as valid_to
from raw.customers
union all
select 'web', 'w' || customer_id, customer_id, created_at, null from raw.customers;

create table raw.orders as
select
    'o' || i as order_id,
    'c' || (hash(i) % $customers) as customer_id,
    timestamp '2024-10-01' + to_seconds((hash(i + 1) % 63000000)::bigint) as ordered_at,
    ['completed', 'completed', 'returned', 'cancelled'][1 + (hash(i + 2) % 4)::bigint] as status,
    round(10 + (hash(i + 3) % 20000) / 100, 2)::double as gross,
    round((hash(i + 4) % 500) / 100, 2)::double as discount,
    0::double as tax,
    0::double as shipping,
    0::double as refunded,
    null::timestamp as refunded_at,
    'EUR' as currency,
    ['web', 'store', 'app'][1 + (hash(i + 5) % 3)::bigint] as channel,
    case when hash(i + 6) % 5 = 0 then 'X' end as coupon
from range($orders) as placed (i);

create table raw.order_items as
select order_id, 1 as line, 'p' || (hash(order_id) % 5000) as product_id,
    ['shoes', 'bags', 'premium', 'coats'][1 + (hash(order_id) % 4)::bigint] as category, 1 as qty, gross as price
from raw.orders;

create table raw.events as
select
    'e' || i as event_id,
    case when i % 2 = 0 then 'c' || (hash(i) % $customers) end as customer_id,
    case when i % 2 = 1 then 'wc' || (hash(i) % $customers) end as anonymous_id,
    ['product_view', 'product_view', 'add_to_cart', 'search', 'checkout', 'support_ticket'][1 + (hash(i + 1) % 6)::bigint]
        as event_name,
    timestamp '2025-10-01' + to_seconds((hash(i + 2) % 31500000)::bigint) as occurred_at,
    null::timestamp as received_at,
    '{}' as properties
from range($events) as seen (i);

create table raw.web_sessions as
select
    's' || i as session_id,
    'c' || (hash(i) % $customers) as customer_id,
    null::varchar as anonymous_id,
    timestamp '2025-10-01' + to_seconds((hash(i + 1) % 31500000)::bigint) as started_at,
    ['paid', 'organic', 'email', 'direct'][1 + (hash(i + 2) % 4)::bigint] as channel,
    (1 + hash(i + 3) % 9)::int as pages,
    (hash(i + 4) % 900)::int as engaged_s,
    ['mobile', 'desktop', 'tablet'][1 + (hash(i + 5) % 3)::bigint] as device
from range(($events) // 4) as visits (i);

create table raw.email_engagement as
select
    'm' || i as message_id,
    'c' || (hash(i) % $customers) as customer_id,
    'spring' as campaign,
    timestamp '2026-04-01' + to_seconds((hash(i + 1) % 15800000)::bigint) as sent_at,
    timestamp '2026-04-01' + to_seconds((hash(i + 1) % 15800000)::bigint) as delivered_at,
    null::timestamp as opened_at,
    null::timestamp as clicked_at,
    null::timestamp as bounced_at,
    null::timestamp as unsubscribed_at
from range(($customers) * 2) as mails (i);

create table raw.consent_events as
select
    'g-' || customer_id || '-' || purpose as consent_event_id,
    'crm' as source_system,
    customer_id as source_id,
    purpose,
    'granted' as status,
    'consent' as legal_basis,
    'EU' as jurisdiction,
    timestamp '2026-06-01' as effective_at,
    timestamp '2026-06-01' as recorded_at,
    null::timestamp as expires_at,
    'server' as time_trust,
    false as is_minor
from raw.customers
cross join (select unnest(['collect', 'profile', 'train', 'share_model', 'activate:email', 'activate:ads']) as purpose) as purposes;

insert into raw.consent_events
select 'fresh', 'crm', 'c0', 'collect', 'granted', 'consent', 'EU', timestamp '2026-09-30 12:00',
    timestamp '2026-09-30 12:00', null, 'server', false

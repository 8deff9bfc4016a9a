-- Planted after the first build: rows on the cutoff of 2025-08-30, after it, or before it but arriving
-- when the grace was over. None may change a feature at that cutoff.
insert into raw.orders
select
    'f' || order_id, customer_id, ordered_at + interval 35 day, status, gross * 7, discount, tax, shipping,
    refunded, refunded_at, currency, channel, coupon, _loaded_at + interval 35 day, _source_system
from raw.orders where ordered_at >= '2025-07-15';

insert into raw.order_items
select 'f' || order_id, line, product_id, 'bags', 50, price, _loaded_at + interval 35 day, _source_system
from raw.order_items;

insert into raw.web_sessions
select
    'f' || session_id, 'ann', null, '2025-08-30'::timestamp + to_days(cast(pages as int)), 'email', 99, 9999,
    'tablet', '2025-08-30', 'web'
from raw.web_sessions;

insert into raw.events
select 'l' || event_id, 'ann', null, event_name, '2025-08-01', '2025-09-01', '{}', '2025-09-01', 'web'
from raw.events;

insert into raw.events
select 'f' || event_id, 'ann', null, event_name, '2025-08-30', '2025-08-30', '{}', '2025-08-30', 'web'
from raw.events;

update raw.email_engagement
set clicked_at = '2025-08-30', unsubscribed_at = '2025-08-30'
where clicked_at is null;

insert into raw.email_engagement
select
    'f' || message_id, 'ann', campaign, '2025-08-30', '2025-08-30', '2025-08-30', null, null, '2025-08-30',
    '2025-08-30', 'mail'
from raw.email_engagement;

update raw.orders set refunded = gross, refunded_at = '2025-08-30' where refunded_at is null;

insert into raw.identity_map values ('web', 'nobody', 'ann', '2025-08-30', null, '2025-08-30', 'web');

-- A brand small enough to compute by hand. as_of 2025-10-01, training cutoff 2025-08-30 (30 days of
-- label and 2 of grace before it), label window [2025-08-30, 2025-09-29).
create schema raw;

create table raw.customers (customer_id varchar, created_at timestamp, country varchar, region varchar, birth_year int, email varchar, phone varchar, suppressed_at timestamp, _loaded_at timestamp, _source_system varchar);
create table raw.identity_map (source_system varchar, source_id varchar, customer_id varchar, valid_from timestamp, valid_to timestamp, _loaded_at timestamp, _source_system varchar);
create table raw.orders (order_id varchar, customer_id varchar, ordered_at timestamp, status varchar, gross double, discount double, tax double, shipping double, refunded double, refunded_at timestamp, currency varchar, channel varchar, coupon varchar, _loaded_at timestamp, _source_system varchar);
create table raw.order_items (order_id varchar, line int, product_id varchar, category varchar, qty int, price double, _loaded_at timestamp, _source_system varchar);
create table raw.events (event_id varchar, customer_id varchar, anonymous_id varchar, event_name varchar, occurred_at timestamp, received_at timestamp, properties varchar, _loaded_at timestamp, _source_system varchar);
create table raw.web_sessions (session_id varchar, customer_id varchar, anonymous_id varchar, started_at timestamp, channel varchar, pages int, engaged_s int, device varchar, _loaded_at timestamp, _source_system varchar);
create table raw.email_engagement (message_id varchar, customer_id varchar, campaign varchar, sent_at timestamp, delivered_at timestamp, opened_at timestamp, clicked_at timestamp, bounced_at timestamp, unsubscribed_at timestamp, _loaded_at timestamp, _source_system varchar);
create table raw.consent_events (consent_event_id varchar, source_system varchar, source_id varchar, purpose varchar, status varchar, legal_basis varchar, jurisdiction varchar, effective_at timestamp, recorded_at timestamp, expires_at timestamp, time_trust varchar, is_minor boolean, method varchar, policy_version varchar, evidence_ref varchar, raw_signal varchar, _loaded_at timestamp, _source_system varchar);

insert into raw.customers
select name, '2024-08-30', 'DE', 'BE', 1980, name || '@example.com', '+49301234567', suppressed_at, '2024-08-30', 'shop'
from (values
    ('ann', null), ('bob', null), ('cat', null), ('dan', null), ('eve', null), ('fay', null),
    ('gus', null), ('hal', '2025-09-01'::timestamp), ('ida', null), ('jon', null)
) as people (name, suppressed_at);
insert into raw.customers values
    ('new', '2025-09-10', 'FR', null, null, null, null, null, '2025-09-10', 'shop');

-- Cookie c1 is ann's from the day she signed in, c2 is linked to her only after the cutoff, c3 was
-- bob's before it was hers. Cookie c4 was ida's and is jon's.
insert into raw.identity_map
select 'crm', customer_id, customer_id, created_at, null, created_at, 'crm' from raw.customers;
insert into raw.identity_map values
    ('web', 'c1', 'ann', '2025-08-10', null, '2025-08-10', 'web'),
    ('web', 'c2', 'ann', '2025-09-10', null, '2025-09-10', 'web'),
    ('web', 'c3', 'bob', '2025-01-01', '2025-08-15', '2025-01-01', 'web'),
    ('web', 'c3', 'ann', '2025-08-15', null, '2025-08-15', 'web'),
    ('web', 'c4', 'ida', '2025-01-01', null, '2025-01-01', 'web'),
    ('web', 'c4', 'jon', '2025-05-01', null, '2025-05-01', 'web');

insert into raw.orders values
    ('o1', 'ann', '2025-08-20 00:00', 'returned', 100, 10, 0, 0, 90, '2025-09-05', 'EUR', 'web', 'X', '2025-08-20', 'shop'),
    ('o2', 'ann', '2025-06-30 18:00', 'completed', 50, 0, 0, 0, 0, null, 'EUR', 'web', null, '2025-08-31 12:00', 'shop'),
    ('o3', 'ann', '2024-12-07 00:00', 'completed', 200, 0, 0, 0, 40, '2025-01-10', 'EUR', 'store', null, '2024-12-07', 'shop'),
    ('o4', 'ann', '2025-08-25 00:00', 'cancelled', 999, 0, 0, 0, 0, null, 'EUR', 'web', null, '2025-08-25', 'shop'),
    ('o5', 'ann', '2025-08-28 00:00', 'completed', 70, 0, 0, 0, 0, null, 'EUR', 'web', null, '2025-09-01', 'shop'),
    ('o6', 'ann', '2025-08-30 00:00', 'completed', 1000, 0, 0, 0, 0, null, 'EUR', 'web', null, '2025-08-30', 'shop'),
    ('o7', 'cat', '2025-09-10 00:00', 'completed', 10, 0, 0, 0, 0, null, 'EUR', 'web', null, '2025-09-10', 'shop'),
    ('o8', 'bob', '2025-09-29 00:00', 'completed', 500, 0, 0, 0, 0, null, 'EUR', 'web', null, '2025-09-29', 'shop'),
    ('o9', 'ida', '2025-09-12 00:00', 'cancelled', 500, 0, 0, 0, 0, null, 'EUR', 'web', null, '2025-09-12', 'shop'),
    ('o10', 'jon', '2025-09-28 00:00', 'completed', 800, 0, 0, 0, 0, null, 'EUR', 'web', null, '2025-10-01', 'shop'),
    ('o11', 'gus', '2025-09-28 23:59:59', 'completed', 20, 0, 0, 0, 0, null, 'EUR', 'web', null, '2025-09-30', 'shop');

insert into raw.order_items values
    ('o1', 1, 'p1', 'shoes', 2, 30, '2025-08-20', 'shop'),
    ('o2', 1, 'p2', 'shoes', 1, 50, '2025-06-30', 'shop'),
    ('o3', 1, 'p3', 'premium', 1, 200, '2024-12-07', 'shop'),
    ('o4', 1, 'p4', 'bags', 9, 111, '2025-08-25', 'shop'),
    ('o5', 1, 'p5', 'bags', 9, 8, '2025-09-01', 'shop'),
    ('o6', 1, 'p6', 'bags', 9, 111, '2025-08-30', 'shop'),
    ('o11', 1, 'p3', 'premium', 1, 20, '2025-09-30', 'shop');

insert into raw.web_sessions values
    ('s1', 'ann', null, '2025-08-25', 'paid', 4, 120, 'mobile', '2025-08-25', 'web'),
    ('s2', null, 'c1', '2025-08-01', 'organic', 2, 60, 'desktop', '2025-08-01', 'web'),
    ('s3', null, 'c2', '2025-08-02', 'email', 9, 900, 'tablet', '2025-08-02', 'web'),
    ('s4', 'ann', null, '2025-08-30', 'direct', 9, 900, 'tablet', '2025-08-30', 'web'),
    ('s5', null, 'nobody', '2025-08-20', 'direct', 9, 900, 'tablet', '2025-08-20', 'web');

insert into raw.events values
    ('e1', 'ann', null, 'product_view', '2025-08-20 10:00', '2025-08-20', '{}', '2025-08-20', 'web'),
    ('e2', 'ann', null, 'product_view', '2025-08-20 10:01', '2025-08-20', '{}', '2025-08-20', 'web'),
    ('e3', 'ann', null, 'add_to_cart', '2025-08-20 10:02', '2025-08-20', '{}', '2025-08-20', 'web'),
    ('e4', 'ann', null, 'checkout', '2025-08-20 10:03', '2025-08-20', '{}', '2025-08-20', 'web'),
    ('e5', 'ann', null, 'add_to_cart', '2025-08-22 10:00', '2025-08-22', '{}', '2025-08-22', 'web'),
    ('e6', null, 'c3', 'product_view', '2025-08-16 00:00', '2025-08-16', '{}', '2025-08-16', 'web'),
    ('e7', null, 'c3', 'product_view', '2025-08-14 00:00', '2025-08-14', '{}', '2025-08-14', 'web'),
    ('e8', 'ann', null, 'search', '2025-07-01 00:00', '2025-07-01', '{}', '2025-07-01', 'web'),
    ('e9', 'ann', null, 'support_ticket', '2024-10-01 00:00', '2024-10-01', '{}', '2024-10-01', 'web'),
    ('e10', 'ann', null, 'product_view', '2025-05-01 00:00', '2025-05-01', '{}', '2025-05-01', 'web'),
    ('e11', 'ann', null, 'product_view', '2025-08-30 00:00', '2025-08-30', '{}', '2025-08-30', 'web'),
    ('e12', 'ann', null, 'product_view', '2025-08-29 00:00', '2025-09-20', '{}', '2025-09-20', 'web');

insert into raw.email_engagement values
    ('m1', 'ann', 'a', '2025-08-15', '2025-08-15', null, '2025-08-16', null, null, '2025-08-15', 'mail'),
    ('m2', 'ann', 'b', '2025-08-20', '2025-08-20', null, '2025-09-05', null, '2025-09-05', '2025-08-20', 'mail'),
    ('m3', 'ann', 'c', '2025-07-01', null, null, null, '2025-07-01', null, '2025-07-01', 'mail'),
    ('m4', 'ann', 'd', '2025-06-15', '2025-06-15', null, null, null, null, '2025-06-15', 'mail');

-- Everybody but the minor hal grants everything; what follows takes some of it back.
insert into raw.consent_events
select
    'g-' || customer_id || '-' || purpose, 'crm', customer_id, purpose, 'granted', 'consent', 'EU',
    '2025-01-01', '2025-01-01', null, 'server', customer_id = 'hal', 'form', 'v1', null, null, '2025-01-01', 'crm'
from raw.customers
cross join unnest(['collect', 'profile', 'train', 'share_model', 'activate:email', 'activate:ads']) as purposes (purpose)
where not (customer_id = 'fay' and purpose = 'profile');

insert into raw.consent_events values
    ('d-cat', 'crm', 'cat', 'train', 'denied', 'consent', 'EU', '2025-02-01', '2025-02-01', null, 'server', false, 'form', 'v1', null, null, '2025-02-01', 'crm'),
    ('d-dan', 'crm', 'dan', 'share_model', 'denied', 'consent', 'EU', '2025-02-01', '2025-02-01', null, 'server', false, 'form', 'v1', null, null, '2025-02-01', 'crm'),
    ('w-eve', 'crm', 'eve', 'profile', 'withdrawn', 'consent', 'EU', '2025-09-15', '2025-09-15', null, 'server', false, 'form', 'v1', null, null, '2025-09-15', 'crm'),
    ('g-fay', 'crm', 'fay', 'profile', 'granted', 'consent', 'EU', '2025-09-15', '2025-09-15', null, 'server', false, 'form', 'v1', null, null, '2025-09-15', 'crm'),
    -- The ledger hears of gus only after as_of.
    ('w-gus', 'crm', 'gus', 'train', 'withdrawn', 'consent', 'EU', '2025-09-01', '2025-10-02', null, 'server', false, 'form', 'v1', null, null, '2025-10-02', 'crm'),
    -- A refusal by a cookie stays with its former owner too; a grant does not move to the next one.
    ('d-c4', 'web', 'c4', 'activate:ads', 'denied', 'consent', 'EU', '2025-03-01', '2025-03-01', null, 'server', null, 'banner', 'v1', null, null, '2025-03-01', 'web'),
    ('g-c4', 'web', 'c4', 'share_partner', 'granted', 'consent', 'EU', '2025-03-01', '2025-03-01', null, 'server', null, 'banner', 'v1', null, null, '2025-03-01', 'web'),
    ('g-c4-later', 'web', 'c4', 'share_partner', 'granted', 'consent', 'EU', '2025-06-01', '2025-06-01', null, 'server', null, 'banner', 'v1', null, null, '2025-06-01', 'web'),
    -- An identity that belongs to nobody.
    ('g-nobody', 'web', 'nobody', 'train', 'granted', 'consent', 'EU', '2025-09-30 12:00', '2025-09-30 12:00', null, 'server', null, 'banner', 'v1', null, null, '2025-09-30', 'web'),
    ('g-fresh', 'crm', 'ann', 'collect', 'granted', 'consent', 'EU', '2025-09-30 12:00', '2025-09-30 12:00', null, 'server', false, 'form', 'v1', null, null, '2025-09-30', 'crm');

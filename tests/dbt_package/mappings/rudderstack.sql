-- The least that a source has: identifies and tracks, and an order. Its timestamps are text with an offset.
create schema rudderstack;
create table rudderstack.identifies (id varchar, user_id varchar, anonymous_id varchar, email varchar, "timestamp" varchar, received_at varchar, context_consent_management_provider varchar, context_consent_management_allowed_consent_ids varchar, context_consent_management_denied_consent_ids varchar);
insert into rudderstack.identifies values
    ('i1', 'r1', 'b1', 'rae@example.com', '2025-08-01T10:00:00+02:00', '2025-08-01T10:00:01+02:00', 'oneTrust', '["C0001", "C0004"]', '["C0002"]'),
    ('i2', 'r1', 'b1', null, '2025-08-09T10:00:00Z', '2025-08-09T10:00:01Z', 'oneTrust', '["C0001","C0004"]', '["C0004"]'),
    ('i3', 'r2', 'b2', null, '2025-08-10T10:00:00Z', '2025-08-10T10:00:01Z', null, null, null);
create table rudderstack.tracks (id varchar, user_id varchar, anonymous_id varchar, event varchar, "timestamp" varchar, received_at varchar);
insert into rudderstack.tracks values
    ('t1', 'r1', 'b1', 'product_viewed', '2025-08-02T10:00:00Z', '2025-08-02T10:00:01Z'),
    ('t1', 'r1', 'b1', 'product_viewed', '2025-08-02T10:00:00Z', '2025-08-02T10:00:01Z');
create table rudderstack.order_completed (id varchar, user_id varchar, order_id varchar, revenue double precision, products varchar, "timestamp" varchar, received_at varchar);
insert into rudderstack.order_completed values
    ('c1', 'r1', 'ro1', 25, '[{"product_id":"p9","category":"bags","quantity":1,"price":25}]', '2025-08-02T10:10:00Z', '2025-08-02T10:10:01Z');

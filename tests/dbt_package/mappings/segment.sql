-- u1 signs in on browser a1, which later is u2's; a2 is u2's; a3 never signs in.
create schema segment;
create table segment.identifies (id varchar, user_id varchar, anonymous_id varchar, email varchar, phone varchar, address_country varchar, birthday varchar, "timestamp" timestamptz, received_at timestamptz, context_consent_category_preferences_advertising boolean);
insert into segment.identifies values
    ('i1', 'u1', 'a1', 'ann@example.com', null, null, null, '2025-08-01 12:00:00+02', '2025-08-01 12:00:05+02', null),
    ('i2', 'u1', 'a1', null, '+49301', 'DE', '1980-05-02', '2025-08-20 10:00:00+00', '2025-08-20 10:00:01+00', null),
    ('i3', 'u2', 'a2', 'bob@example.com', null, 'FR', null, '2025-08-05 10:00:00+00', '2025-08-05 10:00:01+00', null),
    ('i4', 'u2', 'a1', 'bob@new.example.com', null, null, null, '2025-09-01 10:00:00+00', '2025-09-01 10:00:01+00', null),
    ('i5', null, 'a3', null, null, null, null, '2025-09-02 10:00:00+00', '2025-09-02 10:00:01+00', true);

create table segment.tracks (id varchar, user_id varchar, anonymous_id varchar, event varchar, "timestamp" timestamptz, received_at timestamptz);
insert into segment.tracks values
    ('t1', null, 'a1', 'product_viewed', '2025-07-31 10:00:00+00', '2025-07-31 10:00:01+00'),
    ('t2', 'u1', 'a1', 'product_added', '2025-08-02 10:00:00+00', '2025-08-02 10:00:01+00'),
    ('t3', 'u1', 'a1', 'checkout_started', null, '2025-08-02 10:05:00+00'),
    ('t4', 'u1', 'a1', 'order_completed', '2025-08-02 10:10:00+00', '2025-08-02 10:10:01+00'),
    ('t5', null, 'a3', 'products_searched', '2025-08-03 10:00:00+00', '2025-08-03 10:00:01+00');

-- Two visits of a1, the second half an hour and a second after the first; one of a3 with the own shop before it.
create table segment.pages (id varchar, user_id varchar, anonymous_id varchar, "timestamp" timestamptz, received_at timestamptz, context_campaign_medium varchar, context_page_url varchar, context_page_referrer varchar, context_user_agent varchar);
insert into segment.pages values
    ('p1', null, 'a1', '2025-08-02 10:00:00+00', '2025-08-02 10:00:01+00', null, 'https://shop.example.com/', 'https://www.google.com/search', 'Mozilla/5.0 (iPhone) Mobile'),
    ('p2', 'u1', 'a1', '2025-08-02 10:30:00+00', '2025-08-02 10:30:01+00', null, 'https://shop.example.com/a', 'https://shop.example.com/', 'Mozilla/5.0 (iPhone) Mobile'),
    ('p3', 'u1', 'a1', '2025-08-02 11:00:01+00', '2025-08-02 11:00:02+00', 'CPC', 'https://shop.example.com/b', null, 'Mozilla/5.0 (X11; Linux)'),
    ('p4', null, 'a3', '2025-08-03 10:00:00+00', '2025-08-03 10:00:01+00', null, 'https://shop.example.com/b', 'https://shop.example.com/', 'Mozilla/5.0 (iPad) Mobile');

-- o1 is delivered twice and refunded in part; o2 knows its revenue only, o3 its total; o2 is refunded without an amount.
create table segment.order_completed (id varchar, user_id varchar, anonymous_id varchar, order_id varchar, subtotal double precision, revenue double precision, total double precision, discount double precision, tax double precision, shipping double precision, currency varchar, coupon varchar, products varchar, "timestamp" timestamptz, received_at timestamptz);
insert into segment.order_completed values
    ('c1', 'u1', 'a1', 'o1', 90, null, 115, 10, 20, 5, 'EUR', 'SUMMER', '[{"product_id":"p1","category":"shoes","quantity":2,"price":30},{"product_id":"p2","price":40}]', '2025-08-02 10:10:00+00', '2025-08-02 10:10:01+00'),
    ('c2', 'u1', 'a1', 'o1', 90, null, 115, 10, 20, 5, 'EUR', 'SUMMER', '[{"product_id":"p1","category":"shoes","quantity":2,"price":30}]', '2025-08-02 10:10:00+00', '2025-08-02 10:10:09+00'),
    ('c3', 'u2', 'a2', 'o2', null, 50, 60, null, null, null, 'EUR', null, null, '2025-08-06 10:00:00+00', '2025-08-06 10:00:01+00'),
    ('c4', 'u2', 'a2', 'o3', null, null, 30, null, 4, 6, 'EUR', null, '[]', null, '2025-08-07 10:00:01+00');
create table segment.order_refunded (id varchar, order_id varchar, total double precision, "timestamp" timestamptz, received_at timestamptz);
insert into segment.order_refunded values
    ('r1', 'o1', 15, '2025-08-10 10:00:00+00', '2025-08-10 10:00:01+00'),
    ('r2', 'o1', 5, '2025-08-09 10:00:00+00', '2025-08-09 10:00:01+00'),
    ('r3', 'o2', null, '2025-08-11 10:00:00+00', '2025-08-11 10:00:01+00');

create table segment.email_delivered (id varchar, user_id varchar, email_id varchar, campaign_name varchar, "timestamp" timestamptz, received_at timestamptz);
insert into segment.email_delivered values
    ('e1', 'u1', 'm1', 'spring', '2025-08-15 08:00:00+00', '2025-08-15 08:00:01+00'),
    ('e2', 'u2', 'm1', 'spring', '2025-08-15 08:00:00+00', '2025-08-15 08:00:01+00');
create table segment.email_link_clicked (id varchar, user_id varchar, email_id varchar, campaign_name varchar, "timestamp" timestamptz, received_at timestamptz);
insert into segment.email_link_clicked values
    ('e3', 'u1', 'm1', 'spring', '2025-08-15 09:30:00+00', '2025-08-15 09:30:01+00'),
    ('e4', 'u1', 'm1', 'spring', '2025-08-15 09:00:00+00', '2025-08-15 09:00:01+00');

-- a1 grants ads, says it again, and refuses; DataSharing is refused once, and not mentioned after.
create table segment.segment_consent_preference_updated (id varchar, user_id varchar, anonymous_id varchar, "timestamp" timestamptz, received_at timestamptz, context_consent_category_preferences_advertising boolean, context_consent_category_preferences_data_sharing boolean);
insert into segment.segment_consent_preference_updated values
    ('s1', 'u1', 'a1', '2025-08-01 10:01:00+00', '2025-08-01 10:01:01+00', true, false),
    ('s2', 'u1', 'a1', '2025-08-02 10:01:00+00', '2025-08-02 10:01:01+00', true, null),
    ('s3', 'u1', 'a1', '2025-08-03 10:01:00+00', '2025-08-03 10:01:01+00', false, null),
    ('s4', 'u2', null, '2025-08-05 10:01:00+00', '2025-08-05 10:01:01+00', true, null);

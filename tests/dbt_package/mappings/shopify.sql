create schema shopify;
create table shopify.customer (id bigint, created_at timestamptz, email varchar, phone varchar, email_marketing_consent_state varchar, email_marketing_consent_consent_updated_at timestamptz, accepts_marketing boolean, _fivetran_synced timestamptz, _fivetran_deleted boolean);
insert into shopify.customer values
    (7001, '2024-01-01 00:00:00+00', 'kim@example.com', null, 'subscribed', '2024-01-01 00:00:00+00', true, '2025-09-01 00:00:00+00', false),
    (7002, '2024-02-01 00:00:00+00', 'lou@example.com', '+331', 'unsubscribed', '2024-06-01 00:00:00+00', false, '2025-09-01 00:00:00+00', false),
    (7003, '2024-03-01 00:00:00+00', null, null, 'pending', null, false, '2025-09-01 00:00:00+00', null),
    (7004, '2024-04-01 00:00:00+00', null, null, null, null, true, '2025-09-01 00:00:00+00', false),
    (7005, '2024-04-01 00:00:00+00', null, null, 'subscribed', null, true, '2025-09-01 00:00:00+00', true);
create table shopify."order" (id bigint, customer_id bigint, created_at timestamptz, processed_at timestamptz, cancelled_at timestamptz, total_line_items_price double precision, total_discounts double precision, total_tax double precision, total_price double precision, currency varchar, source_name varchar, test boolean, shipping_address_country_code varchar, shipping_address_province_code varchar, _fivetran_deleted boolean);
insert into shopify."order" values
    (9001, 7001, '2025-08-02 10:00:00+00', '2025-08-02 09:59:00+00', null, 100, 10, 15, 95, 'EUR', 'web', false, 'DE', 'BE', false),
    (9002, 7001, '2025-08-10 10:00:00+00', null, null, 40, 0, 6, 40, 'EUR', 'pos', false, 'FR', null, false),
    (9003, 7002, '2025-08-11 10:00:00+00', null, '2025-08-12 10:00:00+00', 30, 0, 4, 30, 'EUR', 'web', false, null, null, false),
    (9004, 7002, '2025-08-11 10:00:00+00', null, null, 999, 0, 0, 999, 'EUR', 'web', true, null, null, false);
create table shopify.order_line (id bigint, order_id bigint, product_id bigint, "index" int, quantity int, price double precision);
insert into shopify.order_line values
    (1, 9001, 501, 1, 2, 30),
    (2, 9001, 502, 2, 1, 40),
    (3, 9002, 501, null, 1, 40),
    (4, 9004, 501, 1, 33, 30);
create table shopify.product (id bigint, title varchar, product_type varchar);
insert into shopify.product values (501, 'Boot', 'shoes'), (502, 'Sock', '');
create table shopify.refund (id bigint, order_id bigint, created_at timestamptz);
insert into shopify.refund values (601, 9001, '2025-08-20 10:00:00+00');
create table shopify.order_line_refund (id bigint, refund_id bigint, order_line_id bigint, quantity double precision, subtotal double precision, total_tax double precision);
insert into shopify.order_line_refund values (1, 601, 1, 1, 27, 4), (2, 601, 2, 1, 36, null);
create table shopify.order_discount_code (order_id bigint, code varchar);
insert into shopify.order_discount_code values (9001, 'TEN'), (9001, 'WELCOME');
create table shopify.order_shipping_line (id bigint, order_id bigint, price double precision);
insert into shopify.order_shipping_line values (1, 9001, 5), (2, 9001, 1);
create table shopify.abandoned_checkout (id bigint, customer_id bigint, created_at timestamptz, _fivetran_deleted boolean);
insert into shopify.abandoned_checkout values
    (801, 7002, '2025-08-15 10:00:00+00', false),
    (802, 7002, '2025-08-16 10:00:00+00', true);

-- Device d1 is s1's, then s2's; d2 is named by the user mapping alone. There is no table of checkouts.
create schema derived;
create table derived.snowplow_unified_sessions (session_identifier varchar, user_id varchar, user_identifier varchar, start_tstamp timestamp, end_tstamp timestamp, first_geo_country varchar, first_geo_region_name varchar, default_channel_group varchar, views int, engaged_time_in_s int, device_category varchar);
insert into derived.snowplow_unified_sessions values
    ('v1', null, 'd1', '2025-08-01 10:00:00', '2025-08-01 10:20:00', 'DE', 'Berlin', 'Organic Search', 4, 120, 'Desktop'),
    ('v2', 's1', 'd1', '2025-08-02 10:00:00', '2025-08-02 10:05:00', 'DE', 'Berlin', 'Paid Search', 2, 30, 'Phone'),
    ('v3', 's1', 'd1', '2025-08-03 10:00:00', '2025-08-03 10:05:00', 'FR', null, 'Direct', 1, 10, 'Mobile'),
    ('v4', 's2', 'd1', '2025-08-20 10:00:00', null, 'DE', null, null, 1, null, 'TV'),
    ('v5', null, 'd2', '2025-08-05 10:00:00', '2025-08-05 10:01:00', 'US', null, 'Referral', 1, 5, 'Tablet');
create table derived.snowplow_unified_user_mapping (user_identifier varchar, user_id varchar, end_tstamp timestamp);
insert into derived.snowplow_unified_user_mapping values
    ('d1', 's2', '2025-08-20 10:00:00'),
    ('d2', 's3', '2025-08-06 10:00:00');
create table derived.snowplow_ecommerce_transaction_interactions (transaction_id varchar, user_id varchar, ecommerce_user_id varchar, domain_userid varchar, derived_tstamp timestamp, transaction_currency varchar, transaction_revenue double precision, transaction_discount_amount double precision, transaction_discount_code varchar, transaction_tax double precision, transaction_shipping double precision);
insert into derived.snowplow_ecommerce_transaction_interactions values
    ('x1', 's1', null, 'd1', '2025-08-02 10:04:00', 'EUR', 80, 20, 'TWENTY', 12, 4),
    ('x2', null, 's3', 'd2', '2025-08-05 10:00:30', 'USD', 15, null, null, null, null);
create table derived.snowplow_ecommerce_product_interactions (product_event_id varchar, event_id varchar, user_id varchar, ecommerce_user_id varchar, domain_userid varchar, derived_tstamp timestamp, product_id varchar, product_category varchar, product_quantity int, product_price double precision, is_product_view boolean, is_add_to_cart boolean, is_product_transaction boolean, transaction_id varchar);
insert into derived.snowplow_ecommerce_product_interactions values
    ('pe1', 'ev1', null, null, 'd1', '2025-08-01 10:01:00', 'p1', 'shoes', null, 50, true, false, false, null),
    ('pe2', 'ev2', 's1', null, 'd1', '2025-08-02 10:01:00', 'p1', 'shoes', 1, 50, false, true, false, null),
    ('pe3', 'ev3', 's1', null, 'd1', '2025-08-02 10:04:00', 'p1', 'shoes', 1, 50, false, false, true, 'x1'),
    ('pe4', 'ev3', 's1', null, 'd1', '2025-08-02 10:04:00', 'p2', 'bags', null, 50, false, false, true, 'x1'),
    ('pe5', 'ev5', 's1', null, 'd1', '2025-08-02 10:02:00', 'p2', 'bags', 1, 50, false, false, false, null);
-- All that may be chosen, and a banner that was shown only.
create table derived.snowplow_unified_consent_log (event_id varchar, user_identifier varchar, user_id varchar, derived_tstamp timestamp, load_tstamp timestamp, event_name varchar, event_type varchar, basis_for_processing varchar, consent_version varchar, consent_scopes varchar, gdpr_applies boolean);
insert into derived.snowplow_unified_consent_log values
    ('k0', 'd1', null, '2025-08-01 10:00:00', '2025-08-01 10:01:00', 'cmp_visible', null, null, null, null, null),
    ('k1', 'd1', null, '2025-08-01 10:00:10', '2025-08-01 10:01:10', 'consent_preferences', 'allow_all', 'consent', 'v1', 'analytics, ads', true),
    ('k2', 'd1', 's1', '2025-08-02 10:00:10', '2025-08-02 10:01:10', 'consent_preferences', 'allow_selected', 'consent', 'v1', 'analytics', true),
    ('k3', 'd2', null, '2025-08-05 10:00:10', '2025-08-05 10:01:10', 'consent_preferences', 'pending', 'legitimate_interests', 'v1', null, false),
    ('k4', 'd2', null, '2025-08-05 10:00:20', '2025-08-05 10:01:20', 'consent_preferences', 'deny_all', 'consent', 'v1', null, false),
    ('k5', 'd1', 's1', '2025-08-09 10:00:10', '2025-08-09 10:01:10', 'consent_preferences', 'withdrawn', 'consent', 'v1', 'analytics', true),
    ('k6', 'd1', 's1', '2025-08-10 10:00:10', '2025-08-10 10:01:10', 'consent_preferences', 'implicit_consent', 'consent', 'v2', 'analytics, ads', true),
    ('k7', 'd1', 's1', '2025-08-11 10:00:10', '2025-08-11 10:01:10', 'consent_preferences', 'expired', 'consent', 'v2', null, true);

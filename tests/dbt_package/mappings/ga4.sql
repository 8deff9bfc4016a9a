-- An export without collected_traffic_source.gclid and batch_event_index, as older ones are. 1754040000 is
-- 2025-08-01 09:20 UTC. g1 signs in with the third event; the purchase is sent twice, as its page was loaded again.
create schema ga4;
create table ga4.events (
    event_date varchar,
    event_timestamp bigint,
    event_name varchar,
    event_params struct("key" varchar, "value" struct(string_value varchar, int_value bigint, float_value double, double_value double))[],
    event_bundle_sequence_id bigint,
    event_server_timestamp_offset bigint,
    user_id varchar,
    user_pseudo_id varchar,
    privacy_info struct(analytics_storage varchar, ads_storage varchar, uses_transient_token varchar),
    device struct(category varchar, operating_system varchar),
    collected_traffic_source struct(manual_medium varchar, manual_source varchar),
    ecommerce struct(transaction_id varchar, purchase_revenue double, tax_value double, shipping_value double, refund_value double),
    items struct(item_id varchar, item_name varchar, item_category varchar, price double, quantity bigint)[]
);

create macro ga4.words(k, v) as {'key': k, 'value': {'string_value': v, 'int_value': null::bigint, 'float_value': null::double, 'double_value': null::double}};
create macro ga4.whole(k, v) as {'key': k, 'value': {'string_value': null::varchar, 'int_value': v::bigint, 'float_value': null::double, 'double_value': null::double}};

insert into ga4.events
select
    '20250801', (1754040000 + secs) * 1000000::bigint, name,
    list_concat([ga4.whole('ga_session_id', session), ga4.whole('engagement_time_msec', engaged), ga4.words('page_location', 'https://shop.example.com/x'), ga4.words('page_referrer', referrer)], more),
    row_number() over (), 2000000, who, device,
    case when device = 'c1' and secs < 100 then {'analytics_storage': 'Yes', 'ads_storage': 'No', 'uses_transient_token': 'No'}
         when device = 'c1' then {'analytics_storage': 'Yes', 'ads_storage': 'Yes', 'uses_transient_token': 'No'}
         when device is null then {'analytics_storage': 'No', 'ads_storage': 'No', 'uses_transient_token': 'No'}
         else {'analytics_storage': 'Unset', 'ads_storage': null, 'uses_transient_token': 'No'} end,
    {'category': category, 'operating_system': 'x'}, {'manual_medium': medium, 'manual_source': null}, sale, goods
from (values
    (0, 'session_start', 11, null, null, 'c1', 'mobile', null, 'https://duckduckgo.com/?q=x', [], null, null),
    (0, 'page_view', 11, 1500, null, 'c1', 'mobile', null, 'https://duckduckgo.com/?q=x', [], null, null),
    (60, 'view_item', 11, 2600, 'g1', 'c1', 'mobile', null, null, [], null, null),
    (120, 'begin_checkout', 11, 100, 'g1', 'c1', 'mobile', null, null, [], null, null),
    (180, 'purchase', 11, 0, 'g1', 'c1', 'mobile', null, null, [ga4.words('currency', 'EUR'), ga4.words('coupon', 'TEN')], {'transaction_id': 'T1', 'purchase_revenue': 70.0, 'tax_value': 11.0, 'shipping_value': 5.0, 'refund_value': null}, [{'item_id': 'p1', 'item_name': 'Boot', 'item_category': 'shoes', 'price': 30.0, 'quantity': 2}, {'item_id': 'p2', 'item_name': 'Sock', 'item_category': null, 'price': 10.0, 'quantity': null}]),
    (240, 'purchase', 11, 0, 'g1', 'c1', 'mobile', null, null, [], {'transaction_id': 'T1', 'purchase_revenue': 70.0, 'tax_value': 11.0, 'shipping_value': 5.0, 'refund_value': null}, []),
    (300, 'refund', 11, 0, 'g1', 'c1', 'mobile', null, null, [], {'transaction_id': 'T1', 'purchase_revenue': null, 'tax_value': null, 'shipping_value': null, 'refund_value': 20.0}, []),
    (400, 'page_view', 12, 900, null, 'c2', 'smart tv', 'email', null, [], null, null),
    (500, 'page_view', null, null, null, null, 'mobile', null, null, [], null, null)
) as happened (secs, name, session, engaged, who, device, category, medium, referrer, more, sale, goods);

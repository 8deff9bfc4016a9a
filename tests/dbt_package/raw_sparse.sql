-- What a brand may lack, and a label window in which nobody ordered.
drop table raw.identity_map;
drop table raw.events;
drop table raw.email_engagement;
drop table raw.web_sessions;
alter table raw.orders drop coupon;
alter table raw.orders drop refunded_at;
alter table raw.orders drop _loaded_at;
alter table raw.order_items drop category;
alter table raw.consent_events drop expires_at;
alter table raw.consent_events drop method;
alter table raw.customers
alter created_at type timestamptz using created_at at time zone 'America/New_York';
delete from raw.orders where ordered_at >= '2025-08-30';

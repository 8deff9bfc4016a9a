-- What a brand keeps itself: browser w1 is ann's, w2 is u2's.
create schema raw;
create table raw.identity_map (source_system varchar, source_id varchar, customer_id varchar, valid_from timestamp, valid_to timestamp);
insert into raw.identity_map values
    ('web', 'w1', 'u1', '2025-01-01', null),
    ('web', 'w2', 'u2', '2025-01-01', null),
    ('crm', 'u3', 'u3', '2025-01-01', null);

create table raw.google_consent_mode (command_id varchar, source_id varchar, command varchar, ad_storage varchar, analytics_storage varchar, ad_user_data varchar, ad_personalization varchar, jurisdiction varchar, occurred_at timestamp, received_at timestamp);
insert into raw.google_consent_mode values
    ('m1', 'w1', 'default', 'granted', 'granted', 'granted', 'granted', 'EU', '2025-08-01 10:00:00', '2025-08-01 10:00:01'),
    ('m2', 'w1', 'update', 'granted', 'denied', 'granted', 'maybe', 'EU', '2025-08-01 10:00:05', '2025-08-01 10:00:06'),
    ('m3', 'w1', 'update', 'granted', 'denied', 'denied', null, 'EU', '2025-08-02 10:00:05', '2025-08-02 10:00:06'),
    ('m4', null, 'update', 'granted', 'granted', 'granted', 'granted', 'EU', '2025-08-02 10:00:05', '2025-08-02 10:00:06');

create table raw.gpc_signals (signal_id varchar, source_id varchar, sec_gpc varchar, jurisdiction varchar, received_at timestamp);
insert into raw.gpc_signals values
    ('h1', 'w1', '0', 'US-CA', '2025-08-01 10:00:00'),
    ('h2', 'w2', '1', 'US-CA', '2025-08-01 10:00:00'),
    ('h3', 'w2', ' 1 ', 'US-CA', '2025-08-01 11:00:00'),
    ('h4', 'w2', '1', 'US-CA', '2025-08-02 09:00:00'),
    ('h5', 'w2', null, 'US-CA', '2025-08-03 09:00:00');

-- A tick in the CRM, without a history of its own. u3 stands in it twice.
create table raw.consent_states (source_system varchar, source_id varchar, purpose varchar, source_flag varchar, status varchar, jurisdiction varchar, is_minor boolean, stated_at timestamp);
insert into raw.consent_states values
    ('crm', 'u3', 'activate:email', null, 'granted', 'EU', false, '2023-01-01'),
    ('crm', 'u3', null, 'newsletter', 'granted', 'EU', false, '2023-01-01'),
    ('crm', 'u3', null, 'newsletter', 'denied', 'EU', false, '2023-01-01');

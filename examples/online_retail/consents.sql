-- GENERATED consent: the file holds none. Reads table `people` and macro seed(); leaves the raw table
-- consent_events with a column `brand`.
--
--   asked      at the first purchase, for each purpose: granted by the shares below, else denied.
--   coupled    one draw decides train and share_model: whoever lets statistics leave allows training.
--   withdrawn  4 % of people take back what they granted of train, share_model and activate:email, at
--              an instant between their first purchase and the end of the file.
--   confirmed  2 % look at their choices on the last day and keep them: the ledger is fresh.

-- In [0, 1), by a hash of seed, customer and topic.
create macro uniform(customer_id, topic) as
    ('0x' || md5(concat_ws('|', seed(), customer_id, topic))[1:8])::ubigint / 4294967296.0;

create table consent_events as
with shares (purpose, topic, granted) as (
    values
        ('collect', 'collect', 0.98),
        ('profile', 'profile', 0.92),
        ('train', 'train', 0.85),
        ('share_model', 'train', 0.80),
        ('activate:email', 'email', 0.70)
),
choices as (
    select people.*, purpose, uniform(customer_id, topic) < granted as is_granted
    from people
    cross join shares
),
said as (
    select
        *,
        created_at as said_at,
        case when is_granted then 'granted' else 'denied' end as status,
        'checkout' as method
    from choices
    union all
    select
        *,
        created_at + to_seconds(
            floor(
                uniform(customer_id, 'withdrawn at')
                * epoch(timestamp '2011-12-09 12:50' - created_at)
            )::bigint
        ) as said_at,
        'withdrawn' as status,
        'preference_centre' as method
    from choices
    where is_granted
        and purpose in ('train', 'share_model', 'activate:email')
        and uniform(customer_id, 'withdraws') < 0.04
    union all
    select
        *,
        timestamp '2011-12-09 13:00'
            + to_seconds(floor(uniform(customer_id, 'confirmed at') * 36000)::bigint) as said_at,
        'granted' as status,
        'preference_centre' as method
    from choices
    where is_granted and uniform(customer_id, 'confirms') < 0.02 and uniform(customer_id, 'withdraws') >= 0.04
)
select
    brand,
    md5(concat_ws('|', customer_id, purpose, status, said_at)) as consent_event_id,
    'shop' as source_system,
    customer_id as source_id,
    purpose,
    status,
    'consent' as legal_basis,
    case
        when country = 'United Kingdom' then 'UK'
        when country = 'Switzerland' then 'CH'
        when country = 'Canada' then 'CA'
        when country = 'USA' then 'US'
        -- Where the GDPR holds: Norway and Iceland too.
        when country in (
            'Austria', 'Belgium', 'Cyprus', 'Czech Republic', 'Denmark', 'EIRE', 'European Community',
            'Finland', 'France', 'Germany', 'Greece', 'Iceland', 'Italy', 'Lithuania', 'Malta',
            'Netherlands', 'Norway', 'Poland', 'Portugal', 'Spain', 'Sweden'
        ) then 'EU'
        else 'ZZ'
    end as jurisdiction,
    said_at as effective_at,
    said_at as recorded_at,
    'server' as time_trust,
    false as is_minor,
    method,
    'generated' as policy_version,
    said_at as _loaded_at,
    'generated' as _source_system
from said;

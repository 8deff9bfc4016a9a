{{ config(tags=['fed_score']) }}

-- How customers may be recognised, and who is held out of every audience to measure what audiences
-- bring: the lowest 5 % of a hash of the customer id, the same people on every engine and day.
-- No consent here: a sync asks the ledger itself, at the moment of sending.
select
    customer_id,
    email,
    phone,
    coalesce(suppressed_at <= {{ fed_audience.as_of(live=true) }}, false) as is_suppressed,
    substr({{ dbt.hash("'holdout:' || customer_id") }}, 1, 4) < '0ccd' as in_holdout
from {{ ref('stg_cdp__customers') }}

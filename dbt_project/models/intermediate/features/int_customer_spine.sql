-- One row a customer and cutoff: the training cutoff, whose label window is complete, and the scoring
-- cutoff. Profiling must be allowed both at the cutoff and now: a withdrawal reaches back.
with cutoffs as (

    select {{ fed_audience.training_cutoff() }} as cutoff_at
    union all
    select {{ fed_audience.as_of() }} as cutoff_at

),

profiled as (

    {% for instant in [fed_audience.training_cutoff(), fed_audience.as_of()] -%}
    select subject_id, as_of as cutoff_at
    from ({{ fed_audience.consent_as_of(ref('int_consent_ledger'), instant, ['profile']) }}) as decisions
    where is_consented
    {{ 'union all' if not loop.last }}
    {% endfor %}
),

profiled_now as (

    select subject_id from profiled where cutoff_at = {{ fed_audience.as_of() }}

)

select
    customers.customer_id,
    cutoffs.cutoff_at,
    customers.created_at,
    customers.country
from {{ ref('stg_cdp__customers') }} as customers
cross join cutoffs
inner join profiled
    on customers.customer_id = profiled.subject_id and cutoffs.cutoff_at = profiled.cutoff_at
inner join profiled_now on customers.customer_id = profiled_now.subject_id
where customers.created_at is null
    or ({{ fed_audience.known_at_cutoff('customers.created_at', 'customers._loaded_at', 'cutoffs') }})

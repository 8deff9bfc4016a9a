{{ config(enabled=var('fed_audience__using_gpc', false)) }}

-- Requests that came with the header Sec-GPC: 1, as a web server or tag server logs them. It asks not to be
-- sold, shared or targeted, and it is heard without a mapping: a refusal needs no approval. As flag 'gpc' it
-- may refuse more. A request without the header says nothing; it never grants. Heard once a day of each
-- browser, so that it stands again after a grant for as long as the browser sends it.
with requests as (

    {{ fed_audience.filled('gpc', 'gpc_signals', {
        'signal_id': 'text',
        'source_system': 'text',
        'source_id': 'text',
        'sec_gpc': 'text',
        'jurisdiction': 'text',
        'received_at': 'instant',
    }, required=true) }}

),

heard as (

    select
        requests.*,
        row_number() over (
            partition by source_system, source_id, cast(received_at as date)
            order by received_at, {{ fed_audience.in_byte_order('signal_id') }}
        ) as nth
    from requests
    where trim(sec_gpc) in ('1', 'true') and source_id is not null

)

{% for purpose in ['activate:ads', 'share_partner', none] -%}
select
    'gpc:' || signal_id || ':{{ purpose or "gpc" }}' as consent_event_id,
    coalesce(source_system, 'web') as source_system,
    source_id,
    cast({{ "'" ~ purpose ~ "'" if purpose else 'null' }} as {{ dbt.type_string() }}) as purpose,
    cast({{ 'null' if purpose else "'gpc'" }} as {{ dbt.type_string() }}) as source_flag,
    'denied' as status,
    cast(null as {{ dbt.type_string() }}) as legal_basis,
    coalesce(jurisdiction, {{ fed_audience.jurisdiction_of('gpc') }}) as jurisdiction,
    received_at as effective_at,
    received_at as recorded_at,
    cast(null as {{ dbt.type_timestamp() }}) as expires_at,
    'server' as time_trust,
    cast(null as {{ dbt.type_boolean() }}) as is_minor,
    'gpc' as method,
    cast(null as {{ dbt.type_string() }}) as policy_version,
    cast(null as {{ dbt.type_string() }}) as evidence_ref,
    sec_gpc as raw_signal,
    received_at as _loaded_at,
    coalesce(source_system, 'web') as _source_system
from heard
where nth = 1
{{ 'union all' if not loop.last }}
{% endfor %}

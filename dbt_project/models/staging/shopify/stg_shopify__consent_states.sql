{{ config(enabled=var('fed_audience__using_shopify', false)) }}

-- What customers allow today, by e-mail and by SMS. A shop keeps the present state alone; its history
-- begins when stg_cdp__consent_state_changes first sees it. Only 'subscribed' is a grant.
with customers as (

    {{ fed_audience.filled('shopify', 'customer', {
        'id': 'text',
        'email_state': 'text',
        'email_stated_at': 'instant',
        'sms_state': 'text',
        'sms_stated_at': 'instant',
        'accepts_marketing': 'flag',
        '_fivetran_deleted': 'flag',
    }, names={
        'email_state': 'email_marketing_consent_state',
        'email_stated_at': 'email_marketing_consent_consent_updated_at',
        'sms_state': 'sms_marketing_consent_state',
        'sms_stated_at': 'sms_marketing_consent_consent_updated_at',
    }, required=true) }}

),

states as (

    select
        id,
        'email_marketing' as source_flag,
        coalesce(
            lower(email_state),
            case when accepts_marketing then 'subscribed' when not accepts_marketing then 'not_subscribed' end
        ) as state,
        email_stated_at as stated_at
    from customers
    where not coalesce(_fivetran_deleted, false)
    union all
    select id, 'sms_marketing', lower(sms_state), sms_stated_at
    from customers
    where not coalesce(_fivetran_deleted, false)

)

select
    'shopify' as source_system,
    id as source_id,
    cast(null as {{ dbt.type_string() }}) as purpose,
    source_flag,
    case
        when state = 'subscribed' then 'granted'
        when state in ('unsubscribed', 'redacted') then 'withdrawn'
        else 'denied'
    end as status,
    'consent' as legal_basis,
    {{ fed_audience.jurisdiction_of('shopify') }} as jurisdiction,
    cast(null as {{ dbt.type_boolean() }}) as is_minor,
    cast(null as {{ dbt.type_string() }}) as policy_version,
    stated_at,
    cast(null as {{ dbt.type_timestamp() }}) as _loaded_at,
    'shopify' as _source_system
from states
where state is not null

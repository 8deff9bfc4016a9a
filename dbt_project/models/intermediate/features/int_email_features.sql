-- How a customer answered e-mail, as known at the cutoff. Opens are inflated by mail proxies that
-- fetch every picture, so clicks carry the signal.
with spine as (

    select customer_id, cutoff_at from {{ ref('int_customer_spine') }}

),

presence as (

    select
        count(*) > 0 as has_mail,
        count(clicked_at) > 0 as has_clicks,
        count(unsubscribed_at) > 0 as has_unsubscribes
    from {{ ref('stg_cdp__email_engagement') }}

),

messages as (

    select
        spine.customer_id,
        spine.cutoff_at,
        {{ fed_audience.days_between('email.sent_at', 'spine.cutoff_at') }} as days_ago,
        coalesce(email.delivered_at, case when email.bounced_at is null then email.sent_at end)
            < spine.cutoff_at as is_delivered,
        case
            when email.clicked_at < spine.cutoff_at
                then {{ fed_audience.days_between('email.clicked_at', 'spine.cutoff_at') }}
        end as clicked_days_ago,
        email.unsubscribed_at < spine.cutoff_at as is_unsubscribed
    from spine
    inner join {{ ref('stg_cdp__email_engagement') }} as email
        on spine.customer_id = email.customer_id
        and {{ fed_audience.known_at_cutoff('email.sent_at', 'email._loaded_at') }}

),

summed as (

    select
        customer_id,
        cutoff_at,
        {% for days in [30, 90] -%}
        count(case when is_delivered and days_ago <= {{ days }} then 1 end)
            as delivered_{{ days }}d,
        count(case when is_delivered and days_ago <= {{ days }} then clicked_days_ago end)
            as clicked_{{ days }}d,
        {% endfor -%}
        min(clicked_days_ago) as click_recency_days,
        max(case when is_unsubscribed then 1 else 0 end) as unsubscribed
    from messages
    group by customer_id, cutoff_at

)

select
    spine.customer_id,
    spine.cutoff_at,
    {% for days in [30, 90] -%}
    case when presence.has_mail then coalesce(summed.delivered_{{ days }}d, 0) end
        as f_email_delivered_{{ days }}d,
    case
        when presence.has_clicks
            then {{ fed_audience.ratio('summed.clicked_' ~ days ~ 'd', 'summed.delivered_' ~ days ~ 'd') }}
    end as f_email_click_rate_{{ days }}d,
    {% endfor -%}
    summed.click_recency_days as f_email_click_recency_days,
    case when presence.has_unsubscribes then coalesce(summed.unsubscribed, 0) end
        as f_email_unsubscribed
from spine
cross join presence
left join summed
    on spine.customer_id = summed.customer_id and spine.cutoff_at = summed.cutoff_at

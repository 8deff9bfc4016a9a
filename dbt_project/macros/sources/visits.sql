{# Where a visit came from, as features know it: paid, email, organic, affiliate, direct or referral. #}
{% macro channel_of(medium, page=none, referrer=none, click_id=none) -%}
    {%- set from_outside = referrer ~ ' is not null' -%}
    case
        when {{ click_id or 'null' }} is not null
            or lower({{ medium }}) in (
                'cpc', 'ppc', 'cpm', 'cpv', 'cpa', 'cpp', 'paid', 'paidsearch', 'paid_search', 'paid-search',
                'paidsocial', 'paid_social', 'paid-social', 'display', 'banner', 'retargeting'
            ) then 'paid'
        when lower({{ medium }}) in ('email', 'e-mail', 'e_mail', 'newsletter') then 'email'
        when lower({{ medium }}) = 'organic' then 'organic'
        when lower({{ medium }}) in ('affiliate', 'affiliates') then 'affiliate'
        when lower({{ medium }}) not in ('', '(none)', '(not set)') then 'referral'
        {% if referrer -%}
        when {{ fed_audience.host_of(referrer) }} in ('', {{ fed_audience.host_of(page) if page else "''" }}) then 'direct'
        {% for engine in ['google', 'bing', 'duckduckgo', 'yahoo', 'ecosia', 'baidu', 'yandex'] -%}
        when '.' || {{ fed_audience.host_of(referrer) }} like '%.{{ engine }}.%' then 'organic'
        {% endfor -%}
        when {{ from_outside }} then 'referral'
        {% endif -%}
        else 'direct'
    end
{%- endmacro %}


{# The host of an address: 'shop.example.com' of 'https://shop.example.com/cart'. #}
{% macro host_of(address) -%}
    lower({{ dbt.split_part(dbt.split_part(address, "'//'", 2), "'/'", 1) }})
{%- endmacro %}


{# What a visitor's browser says it runs on: mobile, tablet or desktop. #}
{% macro device_of(user_agent) -%}
    case
        when {{ user_agent }} is null then null
        when lower({{ user_agent }}) like '%ipad%' or lower({{ user_agent }}) like '%tablet%' then 'tablet'
        when lower({{ user_agent }}) like '%mobi%' then 'mobile'
        else 'desktop'
    end
{%- endmacro %}

{{ config(enabled=var('fed_audience__using_ga4', false)) }}

{{ fed_audience.identity_links(
    'ga4',
    fed_audience.ga4_events({
        'user_id': ('user_id', none, 'text'),
        'user_pseudo_id': ('user_pseudo_id', none, 'text'),
    }),
    anonymous_id='user_pseudo_id',
    tie='user_id',
) }}

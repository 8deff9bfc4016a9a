{{ config(enabled=var('fed_audience__using_rudderstack', false)) }}

{{ fed_audience.allowed_ids('rudderstack') }}

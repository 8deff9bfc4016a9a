{{ config(enabled=var('fed_audience__using_rudderstack', false)) }}

{{ fed_audience.stream_identity_map('rudderstack') }}

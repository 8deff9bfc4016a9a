{{ config(enabled=var('fed_audience__using_segment', false)) }}

{{ fed_audience.stream_customers('segment') }}

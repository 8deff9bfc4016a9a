{{ config(enabled=var('fed_audience__using_segment', false)) }}

{{ fed_audience.stream_web_sessions('segment') }}

{{ config(enabled=var('fed_audience__using_segment', false)) }}

{{ fed_audience.category_preferences('segment') }}

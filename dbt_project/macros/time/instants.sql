{#
  The instant that everything is measured against, as a UTC timestamp without zone.

  Tables take one literal for the whole invocation, so that every cutoff agrees to the microsecond:
  `fed_audience__as_of`, or else the start of the run. Views take the same variable, or else the
  clock at the time they are read (`live=true`): an expiry must not wait for the next build. With
  `fed_audience__live_views` they read the clock whatever the variable says.
#}
{% macro as_of(live=false) %}
    {%- set given = var('fed_audience__as_of', none) -%}
    {%- if live and var('fed_audience__live_views', false) -%}
        {{- fed_audience.utc_now() -}}
    {%- elif given is not none and given | string | trim != '' -%}
        cast('{{ given }}' as {{ dbt.type_timestamp() }})
    {%- elif live -%}
        {{ fed_audience.utc_now() }}
    {%- else -%}
        cast('{{ run_started_at.strftime("%Y-%m-%d %H:%M:%S.%f") }}' as {{ dbt.type_timestamp() }})
    {%- endif -%}
{% endmacro %}


{% macro utc_now() %}{{ return(adapter.dispatch('utc_now', 'fed_audience')()) }}{% endmacro %}

{% macro default__utc_now() %}cast(current_timestamp at time zone 'UTC' as {{ dbt.type_timestamp() }}){% endmacro %}

{# DuckDB converts zones only with its ICU extension; the epoch needs none. #}
{% macro duckdb__utc_now() %}make_timestamp(epoch_us(now())){% endmacro %}


{% macro snowflake__utc_now() %}cast(sysdate() as {{ dbt.type_timestamp() }}){% endmacro %}

{% macro bigquery__utc_now() %}current_timestamp(){% endmacro %}

{% macro spark__utc_now() %}to_utc_timestamp(current_timestamp(), current_timezone()){% endmacro %}


{% macro horizon_days() %}{{ return(var('fed_audience__horizon_days', 30) | int) }}{% endmacro %}

{% macro grace_days() %}{{ return(var('fed_audience__grace_days', 2) | int) }}{% endmacro %}

{# The latest cutoff whose label window, and the grace for late rows after it, are complete. #}
{% macro training_cutoff() %}
    {{- dbt.dateadd('day', -(fed_audience.horizon_days() + fed_audience.grace_days()), fed_audience.as_of()) -}}
{% endmacro %}

{% macro add_days(instant, days) %}{{ dbt.dateadd('day', days, instant) }}{% endmacro %}

{# Days from `earlier` to `later` with their fraction, as a double. #}
{% macro days_between(earlier, later) %}{{ return(adapter.dispatch('days_between', 'fed_audience')(earlier, later)) }}{% endmacro %}

{% macro default__days_between(earlier, later) -%}
    (cast(extract(epoch from {{ later }}) - extract(epoch from {{ earlier }}) as {{ fed_audience.double() }}) / 86400)
{%- endmacro %}

{# In whole microseconds, so that both engines round once and alike. #}
{% macro duckdb__days_between(earlier, later) -%}
    (cast(epoch_us({{ later }}) - epoch_us({{ earlier }}) as double precision) / 86400000000)
{%- endmacro %}

{% macro postgres__days_between(earlier, later) -%}
    (
        cast(1000000 * (extract(epoch from {{ later }}) - extract(epoch from {{ earlier }})) as double precision)
        / 86400000000
    )
{%- endmacro %}

{% macro snowflake__days_between(earlier, later) -%}
    (cast(datediff('microsecond', {{ earlier }}, {{ later }}) as double precision) / 86400000000)
{%- endmacro %}

{% macro bigquery__days_between(earlier, later) -%}
    (cast(timestamp_diff(cast({{ later }} as timestamp), cast({{ earlier }} as timestamp), microsecond) as float64) / 86400000000)
{%- endmacro %}

{% macro spark__days_between(earlier, later) -%}
    (cast(unix_micros({{ later }}) - unix_micros({{ earlier }}) as double) / 86400000000)
{%- endmacro %}


{# Microseconds since 1970 as a UTC timestamp, to the microsecond. #}
{% macro from_epoch_micros(micros) %}{{ return(adapter.dispatch('from_epoch_micros', 'fed_audience')(micros)) }}{% endmacro %}

{% macro default__from_epoch_micros(micros) -%}
    (timestamp '1970-01-01 00:00:00' + {{ micros }} * interval '1 microsecond')
{%- endmacro %}

{% macro duckdb__from_epoch_micros(micros) %}make_timestamp({{ micros }}){% endmacro %}

{% macro bigquery__from_epoch_micros(micros) %}datetime(timestamp_micros({{ micros }})){% endmacro %}

{% macro snowflake__from_epoch_micros(micros) %}to_timestamp_ntz({{ micros }}, 6){% endmacro %}

{% macro spark__from_epoch_micros(micros) %}timestamp_micros({{ micros }}){% endmacro %}


{# Whether a timestamp falls on a Saturday or Sunday; engines number the days from 0 or 1, Snowflake as it is set. #}
{% macro is_weekend(at) %}{{ return(adapter.dispatch('is_weekend', 'fed_audience')(at)) }}{% endmacro %}

{% macro default__is_weekend(at) %}extract(dow from {{ at }}) in (0, 6){% endmacro %}

{% macro spark__is_weekend(at) %}dayofweek({{ at }}) in (1, 7){% endmacro %}

{% macro bigquery__is_weekend(at) %}extract(dayofweek from {{ at }}) in (1, 7){% endmacro %}

{% macro snowflake__is_weekend(at) %}dayofweekiso({{ at }}) in (6, 7){% endmacro %}

{#
  Post-hook of a training table: check what was built, then queue one request for the agent.

  Renders one statement. Where nothing is queued, dbt's log says why: an empty build, a target that
  may not queue, a table that cannot be trained, or a cadence that is not over. A request that still
  waits is pointed at this build, as the build it asked for is gone. Duplicate customers, labels out
  of range and direct identifiers stop the build instead; the previous table stays.
#}
{% macro request_training() %}
    {%- if not execute or flags.WHICH not in ('run', 'build') -%}
        {{- return('select 1') -}}
    {%- endif -%}
    {%- set spec = fed_audience.training_spec(model) -%}
    {%- set targets = var('fed_audience__targets', ['prod', 'demo']) -%}
    {%- if flags.EMPTY -%}
        {{- return(fed_audience.not_queued(spec, 'it was built with --empty')) -}}
    {%- endif -%}
    {%- set rows, classes = fed_audience.checked_training_table(spec) -%}
    {%- if target.name not in targets -%}
        {{- return(fed_audience.not_queued(
            spec, "target '" ~ target.name ~ "' is not in fed_audience__targets (" ~ targets | join(', ') ~ ')'
        )) -}}
    {%- endif -%}
    {%- if rows == 0 -%}
        {{- return(fed_audience.not_queued(
            spec, 'no row has consent to train and share_model and a complete label'
        )) -}}
    {%- endif -%}
    {%- if classes == 1 and spec.task in ('propensity', 'lookalike') -%}
        {{- return(fed_audience.not_queued(spec, 'all ' ~ rows ~ ' rows have the same label')) -}}
    {%- endif -%}
    {%- set blocking = fed_audience.blocking_request(spec) -%}
    {%- if blocking and blocking[1] == 'pending' -%}
        {%- do log(
            "fed_audience: training of '" ~ spec.model ~ "' already waits; its request " ~ blocking[0]
            ~ ' is pointed at this build (' ~ rows ~ ' rows)', info=true
        ) -%}
        {{- return(fed_audience.point_request_at_this_build(spec, rows, blocking[0])) -}}
    {%- endif -%}
    {%- if blocking -%}
        {{- return(fed_audience.not_queued(
            spec, 'it was last requested as of ' ~ blocking[2] ~ ' (' ~ blocking[1]
            ~ ') and its cadence is ' ~ spec.cadence_days ~ ' days'
        )) -}}
    {%- endif -%}
    {%- do log("fed_audience: training of '" ~ spec.model ~ "' queued (" ~ rows ~ ' rows)', info=true) -%}
    {{- return(fed_audience.insert_request(spec, rows)) -}}
{% endmacro %}


{% macro not_queued(spec, reason) %}
    {%- do log("fed_audience: training of '" ~ spec.model ~ "' not queued: " ~ reason, info=true) -%}
    {{- return('select 1') -}}
{% endmacro %}


{# Rows and distinct labels of the table just built; an error where it must not be trained. #}
{% macro checked_training_table(spec) %}
    {%- set columns = fed_audience.quoted_columns(this) -%}
    {%- do fed_audience.refuse_identifiers(columns.keys(), this) -%}
    {%- for column in [spec.entity, spec.label, '_fed_build_id'] if column | lower not in columns -%}
        {%- do exceptions.raise_compiler_error(
            this ~ " has no column '" ~ column ~ "'; build it with fed_audience.training_set and name its "
            ~ 'columns in config.meta.fed_audience (entity, label).'
        ) -%}
    {%- endfor -%}
    {%- set cutoff = spec.get('cutoff', 'cutoff_at') -%}
    {%- do fed_audience.refuse_features_after_cutoff(spec, cutoff) -%}
    {%- set key = [spec.entity] + ([cutoff] if cutoff | lower in columns else []) -%}
    {%- set grouped = [] -%}
    {%- for column in key -%}{%- do grouped.append(columns[column | lower]) -%}{%- endfor -%}
    {%- set label = columns[spec.label | lower] -%}
    {%- set facts = run_query(
        'select count(*), count(distinct ' ~ label ~ '), min(' ~ label ~ '), max(' ~ label ~ '), '
        ~ '(select count(*) from (select 1 as one from ' ~ this ~ ' group by ' ~ grouped | join(', ')
        ~ ' having count(*) > 1) as repeated) from ' ~ this
    ).rows[0] -%}
    {%- if facts[4] > 0 -%}
        {%- do exceptions.raise_compiler_error(
            this ~ ' has ' ~ facts[4] ~ ' customers in more than one row (' ~ key | join(', ')
            ~ '); keep one row each, or they would count more than once.'
        ) -%}
    {%- endif -%}
    {%- if facts[0] > 0 and spec.task in ('propensity', 'lookalike') and (facts[2] < 0 or facts[3] > 1 or facts[1] > 2) -%}
        {%- do exceptions.raise_compiler_error(
            this ~ '.' ~ spec.label ~ ' lies in ' ~ facts[2] ~ '..' ~ facts[3] ~ '; a ' ~ spec.task ~ ' label is 0 or 1.'
        ) -%}
    {%- endif -%}
    {{- return((facts[0] | int, facts[1] | int)) -}}
{% endmacro %}


{# (id, status, as_of) of the request that stands in the way of another one, or none. #}
{% macro blocking_request(spec) %}
    {%- set found = run_query(
        'select request_id, status, as_of from ' ~ fed_audience.control('training_requests') ~ ' where '
        ~ fed_audience.stands_in_the_way(spec)
        ~ " order by case when status = 'pending' then 0 else 1 end, as_of desc, request_id"
    ).rows -%}
    {{- return(found[0] if found | length > 0 else none) -}}
{% endmacro %}


{% macro stands_in_the_way(spec) -%}
    model_name = '{{ spec.model }}'
    and (
        status = 'pending'
        or (
            status in ('claimed', 'succeeded')
            and as_of > {{ dbt.dateadd('day', -1 * (spec.cadence_days | int), fed_audience.as_of()) }}
        )
    )
{%- endmacro %}


{% macro insert_request(spec, rows) %}
insert into {{ fed_audience.control('training_requests') }} (
    request_id, model_name, relation, spec, row_count, build_id, as_of, requested_at, status
)
select
    '{{ invocation_id }}:{{ spec.model }}',
    '{{ spec.model }}',
    '{{ this }}',
    '{{ tojson(spec, sort_keys=true) | replace("'", "''") }}',
    {{ rows }},
    '{{ invocation_id }}',
    {{ fed_audience.as_of() }},
    {{ fed_audience.utc_now() }},
    'pending'
where not exists (
    select 1 from {{ fed_audience.control('training_requests') }}
    where {{ fed_audience.stands_in_the_way(spec) }}
)
{% endmacro %}


{% macro point_request_at_this_build(spec, rows, request_id) %}
update {{ fed_audience.control('training_requests') }}
set relation = '{{ this }}',
    spec = '{{ tojson(spec, sort_keys=true) | replace("'", "''") }}',
    row_count = {{ rows }},
    build_id = '{{ invocation_id }}',
    as_of = {{ fed_audience.as_of() }}
where request_id = '{{ request_id }}' and status = 'pending'
{% endmacro %}

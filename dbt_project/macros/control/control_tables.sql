{#
  The tables through which dbt and the agent speak: dbt queues requests, the agent writes runs,
  models, scores and audiences. Each macro renders one statement, for one hook.
#}
{% macro control(table) -%}
    {{- return(api.Relation.create(
        database=target.database,
        schema=var('fed_audience__control_schema', 'fed_audience'),
        identifier=table,
        type='table',
    )) -}}
{%- endmacro %}


{# adapter.create_schema commits itself; the statement after it is what the hook runs. #}
{% macro create_control_schema() -%}
    {%- if execute -%}
        {%- do adapter.create_schema(fed_audience.control('training_requests').without_identifier()) -%}
    {%- endif -%}
    select 1
{%- endmacro %}


{% macro create_training_requests() -%}
create table if not exists {{ fed_audience.control('training_requests') }} (
    request_id varchar not null,
    model_name varchar not null,
    relation varchar not null,
    spec varchar not null,
    row_count bigint not null,
    build_id varchar not null,
    as_of timestamp not null,
    requested_at timestamp not null,
    status varchar not null,
    claimed_by varchar,
    claimed_at timestamp,
    finished_at timestamp,
    detail varchar,
    primary key (request_id)
)
{%- endmacro %}


{% macro create_training_runs() -%}
create table if not exists {{ fed_audience.control('training_runs') }} (
    run_id varchar not null,
    request_id varchar,
    model_name varchar not null,
    status varchar not null,
    started_at timestamp not null,
    finished_at timestamp,
    partners varchar,
    rows_requested bigint,
    rows_used bigint,
    rows_withdrawn bigint,
    rounds integer,
    bytes_up bigint,
    metrics varchar,
    message varchar,
    primary key (run_id)
)
{%- endmacro %}


{% macro create_model_registry() -%}
create table if not exists {{ fed_audience.control('model_registry') }} (
    model_name varchar not null,
    model_version varchar not null,
    run_id varchar,
    is_active boolean not null,
    created_at timestamp not null,
    model_sha256 varchar not null,
    model_text varchar not null,
    encoder varchar not null,
    metrics varchar,
    trained_on varchar,
    is_rank boolean not null,
    primary key (model_name, model_version)
)
{%- endmacro %}


{% macro create_scores() -%}
create table if not exists {{ fed_audience.control('scores') }} (
    model_name varchar not null,
    model_version varchar not null,
    customer_id varchar not null,
    score double precision not null,
    is_rank boolean not null,
    scored_at timestamp not null,
    features_hash varchar
)
{%- endmacro %}


{% macro create_audience_members() -%}
create table if not exists {{ fed_audience.control('audience_members') }} (
    audience varchar not null,
    channel varchar not null,
    customer_id varchar not null,
    model_name varchar not null,
    model_version varchar not null,
    score double precision not null,
    selected_at timestamp not null
)
{%- endmacro %}

{#
  Post-hook of fct_scores: scores of whoever does not allow `profile` any more leave the table below it,
  too. Not with --empty, which has no consent to go by, nor from a target that may not queue trainings:
  the control tables are those of all targets.
#}
{% macro delete_withdrawn_scores() %}
    {%- if not execute or flags.WHICH not in ('run', 'build') or flags.EMPTY
        or target.name not in var('fed_audience__targets', ['prod', 'demo']) -%}
        {{- return('select 1') -}}
    {%- endif -%}
delete from {{ fed_audience.control('scores') }}
where customer_id not in (
    select subject_id
    from (
        {{ fed_audience.consent_as_of(
            ref('fed_audience', 'int_consent_ledger'),
            fed_audience.as_of(live=true),
            ['profile'],
            subjects='select customer_id from ' ~ fed_audience.control('scores')
        ) }}
    ) as decisions
    where is_consented
)
{% endmacro %}

{#
  The select of a training table: the rows of your features whose owners allow both `train` and
  `share_model` at as_of and whose label is complete, stamped with the build that made them.

      with labelled as (select f.*, ... as label from {{ ref('my_features') }} as f ...)
      {{ fed_audience.training_set('labelled', entity='customer_id', cutoff='cutoff_at', label='label') }}

  features_relation  a ref() or the name of a CTE above; its columns are kept as they are
  entity             column with the customer id
  cutoff             column with the instant up to which the features look
  label              column with the outcome in [cutoff, cutoff + horizon); rows without one are left out

  Columns of a ref() are found whatever their case. Nobody can look into a CTE: a column of it that the engine
  knows in quotes alone is given in quotes (adapter.quote('Customer')).

  Rows younger than as_of - horizon - grace are left out: their outcome is not known yet.
#}
{% macro training_set(features_relation, entity='customer_id', cutoff='cutoff_at', label='label') %}
    {%- do fed_audience.training_spec(model) -%}
    {%- set columns = {} -%}
    {%- if execute and features_relation is not string -%}
        {%- set columns = fed_audience.quoted_columns(features_relation) -%}
        {%- do fed_audience.refuse_identifiers(columns.keys(), features_relation) -%}
        {%- for column in [entity, cutoff, label] if column | lower not in columns -%}
            {%- do exceptions.raise_compiler_error(
                "training_set: " ~ features_relation ~ " has no column '" ~ column ~ "'; it has "
                ~ columns | join(', ') ~ ". Name the right one as entity, cutoff or label."
            ) -%}
        {%- endfor -%}
    {%- endif -%}
select
    features.*,
    cast('{{ invocation_id }}' as {{ dbt.type_string() }}) as _fed_build_id,
    {{ fed_audience.as_of() }} as _fed_as_of
from {{ features_relation }} as features
inner join (
    select subject_id
    from (
        {{ fed_audience.consent_as_of(
            ref('fed_audience', 'int_consent_ledger'), fed_audience.as_of(), ['train', 'share_model']
        ) }}
    ) as decisions
    where is_consented
    group by subject_id
    having count(*) = 2
) as participants
    on cast(features.{{ columns.get(entity | lower, entity) }} as {{ dbt.type_string() }}) = participants.subject_id
where features.{{ columns.get(label | lower, label) }} is not null
    and features.{{ columns.get(cutoff | lower, cutoff) }} <= {{ fed_audience.training_cutoff() }}
{% endmacro %}


{# Stop a build that would carry a direct identifier into training. #}
{% macro refuse_identifiers(names, where) %}
    {%- set identifiers = [
        'email', 'email_address', 'phone', 'phone_number', 'mobile', 'name', 'first_name', 'last_name',
        'full_name', 'street', 'address', 'postcode', 'postal_code', 'zip', 'zip_code', 'birth_date',
        'date_of_birth', 'ip', 'ip_address', 'cookie_id', 'device_id', 'advertising_id',
    ] -%}
    {%- for name in names if name | lower in identifiers -%}
        {%- do exceptions.raise_compiler_error(
            where ~ " carries '" ~ name ~ "', which names a person; leave that column out of training."
        ) -%}
    {%- endfor -%}
{% endmacro %}


{# The meta.fed_audience of a training model with its defaults, or an error that says what is missing. #}
{% macro training_spec(node) %}
    {%- set given = ((node.config or {}).get('meta') or {}).get('fed_audience') or {} -%}
    {%- set tasks = ['propensity', 'lookalike', 'demand', 'multiclass'] -%}
    {%- set spec = dict(
        {'label': 'label', 'entity': 'customer_id', 'purpose': 'train', 'partners': [], 'cadence_days': 0},
        **given
    ) -%}
    {%- if execute -%}
        {%- set problem = none -%}
        {%- if not spec.get('model') -%}
            {%- set problem = "has no 'model': name the audience model it trains" -%}
        {%- elif spec.get('task') not in tasks -%}
            {%- set problem = "has task '" ~ spec.get('task') ~ "'; allowed: " ~ tasks | join(', ') -%}
        {%- elif spec.purpose != 'train' -%}
            {%- set problem = "has purpose '" ~ spec.purpose ~ "'; a training table is for 'train'" -%}
        {%- endif -%}
        {%- if problem -%}
            {%- do exceptions.raise_compiler_error(
                "config.meta.fed_audience of " ~ node.name ~ " " ~ problem ~ "."
            ) -%}
        {%- endif -%}
    {%- endif -%}
    {{- return(spec) -}}
{% endmacro %}

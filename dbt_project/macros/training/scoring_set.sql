{#
  The select of a table to score: the rows of your features whose owners allow `profile` when it is read.

      {{ config(materialized='view') }}
      {{ fed_audience.scoring_set(ref('my_features_today'), entity='customer_id') }}

  features_relation  a ref() or the name of a CTE above, one row a customer; its columns are kept as they are
  entity             column with the customer id

  As a view it forgets a person with their consent, not with the next build.
#}
{% macro scoring_set(features_relation, entity='customer_id') %}
    {%- set columns = {} -%}
    {%- if execute and features_relation is not string -%}
        {%- set columns = fed_audience.quoted_columns(features_relation) -%}
        {%- if entity | lower not in columns -%}
            {%- do exceptions.raise_compiler_error(
                "scoring_set: " ~ features_relation ~ " has no column '" ~ entity ~ "'; it has "
                ~ columns | join(', ') ~ ". Name the right one as entity."
            ) -%}
        {%- endif -%}
    {%- endif -%}
select features.*
from {{ features_relation }} as features
inner join {{ ref('fed_audience', 'int_consent_current') }} as consent
    on cast(features.{{ columns.get(entity | lower, entity) }} as {{ dbt.type_string() }}) = consent.subject_id
    and consent.purpose = 'profile'
    and consent.is_consented
{% endmacro %}

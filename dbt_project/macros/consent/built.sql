{#
  The relation of a model or seed of this package, without a ref. For data tests alone: dbt runs every test of
  whatever it selects, so a test of one training table that refers to the ledger, too, would be run, and fail, with
  every other model that stands on the ledger. What is tested must stand on the relation itself.
#}
{% macro built(resource_type, name) -%}
    {{- return(graph.nodes[resource_type ~ '.fed_audience.' ~ name].relation_name if execute else name) -}}
{%- endmacro %}


{# What the ledger decides at the moment of reading, for a data test. #}
{% macro consent_now(purposes=none) -%}
    {{- return(fed_audience.consent_as_of(
        fed_audience.built('model', 'int_consent_ledger'),
        fed_audience.as_of(live=true),
        purposes,
        rules=fed_audience.built('seed', 'jurisdiction_rules')
    )) -}}
{%- endmacro %}

{# Fails on every combination of columns that occurs more than once. #}
{% test fed_unique_rows(model, columns) %}
select {{ columns | join(', ') }}, count(*) as occurrences
from {{ model }}
group by {{ columns | join(', ') }}
having count(*) > 1
{% endtest %}


{# Fails when a table with rows has only one of the labels: nothing can be learnt from it. #}
{% test fed_both_classes(model, label) %}
select min({{ label }}) as only_label, count(*) as row_count
from {{ model }}
having count(*) > 0 and count(distinct {{ label }}) < 2
{% endtest %}


{# Fails on every instant that lies ahead of both as_of and the clock. #}
{% test fed_not_in_the_future(model, column_name) %}
select {{ column_name }}
from {{ model }}
where {{ column_name }} > greatest({{ fed_audience.as_of() }}, {{ fed_audience.utc_now() }})
{% endtest %}


{# Fails when nothing has arrived within the hours before as_of: withdrawals may be missing. #}
{% test fed_fresh(model, column_name, max_age_hours) %}
select max({{ column_name }}) as newest
from {{ model }}
having max({{ column_name }}) < {{ dbt.dateadd('hour', -1 * max_age_hours | int, fed_audience.as_of()) }}
{% endtest %}

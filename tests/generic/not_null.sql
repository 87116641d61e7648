{% test not_null(model, column_name) %}
{# dbt's own with whole rows, which tell where the value is missing. #}
select *
from {{ model }}
where {{ column_name }} is null
{% endtest %}

{% test holds(model, expression, column_name=none) %}
{# Rows for which the expression is false; an unknown truth passes. #}
select *
from {{ model }}
where not ({{ expression }})
{% endtest %}

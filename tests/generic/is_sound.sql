{% test is_sound(model, table) %}
{# Faults of a delivery that bend every number made of it: dbt then leaves all that follows as it was. It reads the table alone. #}
{{ stopping_checks(model, table, own_checks) }}
{% endtest %}
